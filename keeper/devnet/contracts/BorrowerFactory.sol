// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

interface IPool {
    function supply(address asset, uint256 amount, address onBehalfOf, uint16 referralCode) external;
    function borrow(address asset, uint256 amount, uint256 rateMode, uint16 referralCode, address onBehalfOf) external;
    function setUserEMode(uint8 categoryId) external;
}

interface IERC20 {
    function approve(address spender, uint256 amount) external returns (bool);
}

/// One borrower of the local market: an account that does what its factory says.
contract Borrower {
    address private immutable FACTORY = msg.sender;

    /// Call `target`, and hand on its answer or its revert as they are.
    function execute(address target, bytes calldata data) external returns (bytes memory) {
        require(msg.sender == FACTORY, "not the factory");
        (bool success, bytes memory answer) = target.call(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
        return answer;
    }
}

/// Opens many genuine positions in one transaction, each in an account (EIP-1167 clone) of its own.
contract BorrowerFactory {
    address public immutable OWNER = msg.sender;
    IPool public immutable POOL;
    Borrower public immutable IMPLEMENTATION;
    address[] public assets;

    uint256 private constant LEG_BYTES = 17;
    uint256 private constant VARIABLE_RATE = 2;

    modifier onlyOwner() {
        require(msg.sender == OWNER, "not the owner");
        _;
    }

    constructor(IPool pool, address[] memory assets_) {
        POOL = pool;
        IMPLEMENTATION = new Borrower();
        assets = assets_;
        for (uint256 i = 0; i < assets_.length; i++) {
            IERC20(assets_[i]).approve(address(pool), type(uint256).max);
        }
    }

    /// Open positions from packed rows, paying the collateral from this contract's balances.
    /// A row is: eMode category (1 byte), count of collaterals (1), count of debts (1), then for each
    /// of them its index in `assets` (1) and its raw amount (16, big-endian).
    function open(bytes calldata rows) external onlyOwner {
        while (rows.length > 0) {
            Borrower borrower = Borrower(_clone(address(IMPLEMENTATION)));
            uint8 category = uint8(rows[0]);
            uint256 collaterals = uint8(rows[1]);
            uint256 debts = uint8(rows[2]);
            rows = rows[3:];
            if (category != 0) {
                borrower.execute(address(POOL), abi.encodeCall(IPool.setUserEMode, (category)));
            }
            for (uint256 i = 0; i < collaterals; i++) {
                (address asset, uint256 amount) = _leg(rows);
                POOL.supply(asset, amount, address(borrower), 0);
                rows = rows[LEG_BYTES:];
            }
            for (uint256 i = 0; i < debts; i++) {
                (address asset, uint256 amount) = _leg(rows);
                borrower.execute(
                    address(POOL),
                    abi.encodeCall(IPool.borrow, (asset, amount, VARIABLE_RATE, 0, address(borrower)))
                );
                rows = rows[LEG_BYTES:];
            }
        }
    }

    /// Let a borrower call `target`.
    function execute(Borrower borrower, address target, bytes calldata data)
        external
        onlyOwner
        returns (bytes memory)
    {
        return borrower.execute(target, data);
    }

    function _leg(bytes calldata rows) private view returns (address asset, uint256 amount) {
        asset = assets[uint8(rows[0])];
        amount = uint128(bytes16(rows[1:LEG_BYTES]));
    }

    /// EIP-1167: the smallest contract that delegates every call to `implementation`.
    function _clone(address implementation) private returns (address instance) {
        bytes memory code = abi.encodePacked(
            hex"3d602d80600a3d3981f3363d3d373d3d3d363d73", implementation, hex"5af43d82803e903d91602b57fd5bf3"
        );
        assembly ("memory-safe") {
            instance := create(0, add(code, 32), mload(code))
        }
        require(instance != address(0), "clone failed");
    }
}
