// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {MarketParams} from "./MorphoModels.sol";

interface IMorpho {
    function supplyCollateral(
        MarketParams memory params,
        uint256 assets,
        address onBehalf,
        bytes memory data
    ) external;
    function borrow(
        MarketParams memory params,
        uint256 assets,
        uint256 shares,
        address onBehalf,
        address receiver
    ) external returns (uint256, uint256);
    function liquidate(
        MarketParams memory params,
        address borrower,
        uint256 seizedAssets,
        uint256 repaidShares,
        bytes memory data
    ) external returns (uint256, uint256);
}

interface IToken {
    function approve(address spender, uint256 amount) external returns (bool);
}

/// One borrower: an account that does what its factory says.
contract MorphoBorrower {
    address private immutable FACTORY = msg.sender;

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
contract MorphoBorrowers {
    address public immutable OWNER = msg.sender;
    IMorpho public immutable MORPHO;
    MorphoBorrower public immutable IMPLEMENTATION;
    MarketParams[] public markets;

    uint256 private constant ROW_BYTES = 33;

    modifier onlyOwner() {
        require(msg.sender == OWNER, "not the owner");
        _;
    }

    constructor(IMorpho morpho, MarketParams[] memory markets_) {
        MORPHO = morpho;
        IMPLEMENTATION = new MorphoBorrower();
        for (uint256 i = 0; i < markets_.length; i++) {
            markets.push(markets_[i]);
            IToken(markets_[i].collateralToken).approve(address(morpho), type(uint256).max);
        }
    }

    /// Open positions from packed rows: market (1 byte), raw collateral (16), raw debt (16).
    function open(bytes calldata rows) external onlyOwner {
        for (; rows.length > 0; rows = rows[ROW_BYTES:]) {
            MarketParams memory params = markets[uint8(rows[0])];
            uint256 collateral = uint128(bytes16(rows[1:17]));
            uint256 debt = uint128(bytes16(rows[17:33]));
            MorphoBorrower borrower = MorphoBorrower(_clone(address(IMPLEMENTATION)));
            MORPHO.supplyCollateral(params, collateral, address(borrower), "");
            bytes memory loan =
                abi.encodeCall(IMorpho.borrow, (params, debt, 0, address(borrower), address(borrower)));
            borrower.execute(address(MORPHO), loan);
        }
    }

    /// Ask Morpho which accounts of a market it would let anybody liquidate: any answer but that the
    /// position is healthy. To be called without a transaction.
    function liquidatable(uint256 market, address[] calldata accounts)
        external
        returns (bool[] memory answers)
    {
        answers = new bool[](accounts.length);
        MarketParams memory params = markets[market];
        for (uint256 i = 0; i < accounts.length; i++) {
            try MORPHO.liquidate(params, accounts[i], 0, 1, "") {
                answers[i] = true;
            } catch Error(string memory reason) {
                answers[i] = keccak256(bytes(reason)) != keccak256("position is healthy");
            } catch {
                answers[i] = true;
            }
        }
    }

    /// Let a borrower call `target`.
    function execute(MorphoBorrower borrower, address target, bytes calldata data)
        external
        onlyOwner
        returns (bytes memory)
    {
        return borrower.execute(target, data);
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
