// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {HostileLender, HostileSource} from "stand-ins/Lenders.sol";
import {HostileSeller} from "stand-ins/MorphoSellers.sol";
import {HostilePool} from "stand-ins/Pools.sol";
import {Token} from "stand-ins/Tokens.sol";
import {Bargain} from "stand-ins/Venues.sol";
import {Pair} from "./Pair.sol";
import {Vm} from "./Vm.sol";

interface ILiquidator {
    function execute() external payable returns (uint256 profit);
    function executeOperation(address, uint256, uint256, address, bytes calldata)
        external
        returns (bool);
    function uniswapV3FlashCallback(uint256, uint256, bytes calldata) external;
    function uniswapV3SwapCallback(int256, int256, bytes calldata) external;
    function receiveFlashLoan(
        address[] calldata,
        uint256[] calldata,
        uint256[] calldata,
        bytes calldata
    ) external;
    function onFlashLoan(address, address, uint256, uint256, bytes calldata)
        external
        returns (bytes32);
    function onMorphoFlashLoan(uint256, bytes calldata) external;
    function onMorphoLiquidate(uint256, bytes calldata) external;
    function onPreLiquidate(uint256, bytes calldata) external;
    function addOperator(address) external;
    function removeOperator(address) external;
    function disarm() external;
    function setRecipient(address) external;
    function transferOwnership(address) external;
    function acceptOwnership() external;
    function rescue(address, address, uint256) external;
    function isOperator(address) external view returns (bool);
    function operators() external view returns (address[] memory);
}

/// @notice How the programs of a test are put together.
struct Shape {
    /// Units of debt that are repaid; the bargain pays twice as many of the collateral.
    uint256 amount;
    /// 0 to 3 a loan of that kind, 4 a swap that pays later, 5 a seller that is paid later.
    uint8 funding;
    /// 0 the pool, 1 the pair, 2 half and half, 3 both one after the other.
    uint8 route;
    /// In how many calls the amount is repaid.
    uint8 calls;
    uint256 minProfit;
    uint256 tip;
}

/// @title The committed executor on a small market, and the programs that it runs there
abstract contract Market {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    address internal constant OWNER = address(0x0111);
    address internal constant OPERATOR = address(0x0222);
    address internal constant RECIPIENT = address(0x0333);
    address internal constant PROPOSER = address(0x0444);
    uint256 internal constant DEEP = 1e30;

    uint256 internal constant OWED = 0x21;
    uint256 internal constant BALANCE = 0x80;
    uint256 internal constant ENTRY = 0x40;

    uint8 internal constant COLLATERAL = 0;
    uint8 internal constant DEBT = 1;
    uint8 internal constant MIDDLE = 2;
    uint8 internal constant LENDER = 3;
    uint8 internal constant SOURCE = 4;
    uint8 internal constant BARGAIN = 5;
    uint8 internal constant POOL = 6;
    uint8 internal constant PAIR = 7;
    uint8 internal constant SELLER = 8;
    uint8 internal constant PAIR_OUT = 9;
    uint8 internal constant ENTRIES = 10;
    uint8 internal constant TOKENS = 3;

    ILiquidator internal executor;
    Token[3] internal tokens;
    address[ENTRIES] internal table;
    HostileLender internal lender;
    HostileSource internal source;
    HostileSeller internal seller;
    HostilePool internal pool;
    Pair internal pair;
    Pair internal pairOut;

    function build() internal {
        vm.coinbase(PROPOSER);
        for (uint256 i = 0; i < 3; ++i) {
            tokens[i] = new Token();
            table[i] = address(tokens[i]);
        }
        (Token collateral, Token debt, Token middle) = (tokens[0], tokens[1], tokens[2]);
        lender = new HostileLender();
        source = new HostileSource();
        seller = new HostileSeller();
        pool = new HostilePool(address(collateral), address(debt));
        pair = new Pair(collateral, middle, 3000);
        pairOut = new Pair(middle, debt, 3000);
        table[LENDER] = address(lender);
        table[SOURCE] = address(source);
        table[BARGAIN] = address(new Bargain());
        table[POOL] = address(pool);
        table[PAIR] = address(pair);
        table[SELLER] = address(seller);
        table[PAIR_OUT] = address(pairOut);
        for (uint256 i = LENDER; i < ENTRIES; ++i) {
            for (uint256 j = 0; j < TOKENS; ++j) {
                tokens[j].mint(table[i], DEEP);
            }
        }
        pair.sync();
        pairOut.sync();
        executor = deployed();
    }

    function deployed() private returns (ILiquidator made) {
        string memory artifact = vm.readFile("../abis/Liquidator.json");
        address[] memory operators = new address[](1);
        operators[0] = OPERATOR;
        bytes memory code = bytes.concat(
            vm.parseJsonBytes(artifact, ".bytecode"), abi.encode(OWNER, operators, RECIPIENT)
        );
        assembly {
            made := create(0, add(code, 0x20), mload(code))
        }
        require(address(made) != address(0), "the executor was not deployed");
    }

    /// @notice Return the calldata of a whole program.
    function program(Shape memory shape) internal view returns (bytes memory) {
        return bytes.concat(
            header(type(uint40).max),
            number(shape.minProfit),
            number(shape.tip),
            bytes1(uint8(255)),
            funded(shape)
        );
    }

    function header(uint40 deadline) internal view returns (bytes memory) {
        return bytes.concat(
            ILiquidator.execute.selector, bytes5(deadline), bytes1(TOKENS), entries()
        );
    }

    /// @dev The table as it stands in a program, and in what callbacks are handed.
    function entries() internal view returns (bytes memory written) {
        written = bytes.concat(bytes1(ENTRIES));
        for (uint256 i = 0; i < ENTRIES; ++i) {
            written = bytes.concat(written, bytes20(table[i]));
        }
    }

    function funded(Shape memory shape) internal view returns (bytes memory) {
        bytes memory inner = bytes.concat(bargains(shape), repayment(shape));
        if (shape.funding == 5) return sale(shape.amount, repayment(shape));
        if (shape.funding == 4) {
            return
                swap(POOL, COLLATERAL, DEBT, number(shape.amount), number(DEEP), bargains(shape));
        }
        uint8 from = shape.funding == 0 ? LENDER : SOURCE;
        return bytes.concat(
            bytes1(0x03 | shape.funding << 4),
            bytes1(from),
            bytes1(DEBT),
            number(shape.amount),
            sized(inner)
        );
    }

    function bargains(Shape memory shape) internal pure returns (bytes memory written) {
        uint256 left = shape.amount;
        for (uint256 i = shape.calls; i != 0; --i) {
            uint256 part = i == 1 ? left : left / i;
            left -= part;
            // The bargain refuses thirteen: a call that may fail and does.
            written = bytes.concat(written, bargain(part, 0), bargain(13, 4));
        }
    }

    function bargain(uint256 amount, uint8 flags) internal pure returns (bytes memory) {
        return bytes.concat(
            bytes1((0x01 | (1 | flags) << 4)),
            abi.encodePacked(BARGAIN, DEBT, BARGAIN, number(amount)),
            Bargain.take.selector,
            bytes1(uint8(3)),
            bytes1(uint8(ENTRY | DEBT)),
            number(amount),
            bytes1(uint8(ENTRY | COLLATERAL))
        );
    }

    function repayment(Shape memory shape) internal view returns (bytes memory) {
        bytes memory owed = bytes.concat(bytes1(uint8(OWED)));
        bytes memory whole = bytes.concat(bytes1(uint8(BALANCE | COLLATERAL)));
        if (shape.route == 0) return swap(POOL, COLLATERAL, DEBT, owed, whole, "");
        bytes memory first = pairSwap(PAIR, COLLATERAL, MIDDLE, owed, whole, "");
        if (shape.route == 1) return pairSwap(PAIR_OUT, MIDDLE, DEBT, owed, number(DEEP), first);
        if (shape.route == 2) {
            bytes memory half =
                pairSwap(PAIR_OUT, MIDDLE, DEBT, number(shape.amount / 2), number(DEEP), first);
            return bytes.concat(half, swap(POOL, COLLATERAL, DEBT, owed, whole, ""));
        }
        // Too little from the pair at first, the rest from the pool.
        bytes memory sold = pairSwap(PAIR, COLLATERAL, MIDDLE, number(shape.amount / 2), "", "");
        bytes memory all = bytes.concat(bytes1(uint8(BALANCE | MIDDLE)));
        return bytes.concat(
            sold,
            pairSwap(PAIR_OUT, MIDDLE, DEBT, all, "", ""),
            swap(POOL, COLLATERAL, DEBT, owed, whole, "")
        );
    }

    function swap(
        uint8 place,
        uint8 tokenIn,
        uint8 tokenOut,
        bytes memory amount,
        bytes memory limit,
        bytes memory inner
    ) internal view returns (bytes memory) {
        uint8 flags = sides(tokenIn, tokenOut, limit);
        return bytes.concat(
            bytes1(0x02 | flags << 4), bytes1(place), bytes1(tokenIn), amount, limit, sized(inner)
        );
    }

    function pairSwap(
        uint8 place,
        uint8 tokenIn,
        uint8 tokenOut,
        bytes memory amount,
        bytes memory limit,
        bytes memory inner
    ) internal view returns (bytes memory) {
        uint8 flags = sides(tokenIn, tokenOut, limit);
        return bytes.concat(
            bytes1(0x05 | flags << 4),
            bytes1(place),
            bytes1(tokenIn),
            bytes2(uint16(3000)),
            amount,
            limit,
            sized(inner)
        );
    }

    function sale(uint256 amount, bytes memory inner) internal pure returns (bytes memory) {
        return bytes.concat(
            bytes1(0x04),
            bytes1(SELLER),
            bytes1(DEBT),
            number(amount),
            HostileSeller.sell.selector,
            abi.encodePacked(uint8(4), uint8(ENTRY | DEBT), number(amount)),
            abi.encodePacked(uint8(ENTRY | COLLATERAL), number(128), sized(inner))
        );
    }

    function sides(uint8 tokenIn, uint8 tokenOut, bytes memory limit)
        private
        view
        returns (uint8)
    {
        uint8 zeroForOne = table[tokenIn] < table[tokenOut] ? 1 : 0;
        return zeroForOne | (limit.length == 0 ? 0 : 2);
    }

    function number(uint256 value) internal pure returns (bytes memory) {
        return value == 0 ? bytes.concat(bytes1(0)) : abi.encodePacked(uint8(32), value);
    }

    function sized(bytes memory inner) internal pure returns (bytes memory) {
        return bytes.concat(bytes2(uint16(inner.length)), inner);
    }

    /// @notice Run calldata as `caller`, and return whether it succeeded and what it answered.
    function run(address caller, uint256 value, bytes memory data)
        internal
        returns (bool ok, bytes memory answer)
    {
        vm.deal(caller, caller.balance + value);
        vm.prank(caller);
        (ok, answer) = address(executor).call{value: value}(data);
    }

    function held(uint256 token, address who) internal view returns (uint256) {
        return tokens[token].balanceOf(who);
    }

    /// @notice Require that nobody may take a token from the executor.
    function requireNoAllowance() internal view {
        for (uint256 i = 0; i < TOKENS; ++i) {
            for (uint256 j = 0; j < ENTRIES; ++j) {
                require(tokens[i].allowance(address(executor), table[j]) == 0, "allowance left");
            }
        }
    }

    function requireNothingHeld() internal view {
        for (uint256 i = 0; i < TOKENS; ++i) {
            require(held(i, address(executor)) == 0, "tokens left");
        }
        require(address(executor).balance == 0, "native coin left");
    }

    /// @notice Return `number` taken into the range, ends included.
    function within(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }
}
