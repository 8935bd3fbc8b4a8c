// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Mover} from "./Tokens.sol";

interface IPayer {
    function executeOperation(address, uint256, uint256, address, bytes calldata)
        external
        returns (bool);
    function uniswapV3SwapCallback(int256, int256, bytes calldata) external;
}

/// @notice Calls a swap callback on behalf of a pool.
contract Accomplice {
    function relay(address payer, int256 amount0, int256 amount1, bytes calldata data) external {
        IPayer(payer).uniswapV3SwapCallback(amount0, amount1, data);
    }
}

/// @notice A pool at a price of one to one, without a fee, that misbehaves as told.
contract HostilePool is Mover {
    enum Mode {
        Honest,
        Greedy, // asks one more than agreed
        Twice, // calls back twice
        TwiceQuietly, // calls back twice, and swallows the refusal of the second
        Taker, // takes and does not pay
        Silent, // pays and never calls back
        Relayed, // lets an accomplice call back
        Forged, // calls back with other data
        Negative, // names no amount as owed
        Disguised // calls back as a lender would
    }

    address public immutable token0;
    address public immutable token1;
    Accomplice public immutable accomplice = new Accomplice();
    Mode public mode;
    uint256 public refusals;

    constructor(address a, address b) {
        (token0, token1) = a < b ? (a, b) : (b, a);
    }

    function behave(Mode mode_) external {
        mode = mode_;
    }

    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160,
        bytes calldata data
    ) external returns (int256, int256) {
        require(amountSpecified != 0, "AS");
        uint256 amount = uint256(amountSpecified > 0 ? amountSpecified : -amountSpecified);
        if (mode != Mode.Taker) _send(zeroForOne ? token1 : token0, recipient, amount);
        if (mode == Mode.Silent) return (0, 0);
        uint256 asked = mode == Mode.Greedy ? amount + 1 : amount;
        (int256 amount0, int256 amount1) = zeroForOne
            ? (int256(asked), -int256(amount))
            : (-int256(amount), int256(asked));
        if (mode == Mode.Negative) (amount0, amount1) = (-1, -1);
        _callBack(amount0, amount1, data);
        return (amount0, amount1);
    }

    /// @notice Call back out of the blue.
    function strike(address payer, int256 amount0, int256 amount1, bytes calldata data) external {
        IPayer(payer).uniswapV3SwapCallback(amount0, amount1, data);
    }

    function _callBack(int256 amount0, int256 amount1, bytes calldata data) private {
        IPayer payer = IPayer(msg.sender);
        if (mode == Mode.Relayed) {
            accomplice.relay(msg.sender, amount0, amount1, data);
        } else if (mode == Mode.Forged) {
            payer.uniswapV3SwapCallback(amount0, amount1, abi.encodePacked(data, uint8(0)));
        } else if (mode == Mode.Disguised) {
            address asked = address(bytes20(data[:20]));
            payer.executeOperation(asked, uint256(bytes32(data[20:52])), 0, msg.sender, data);
        } else {
            payer.uniswapV3SwapCallback(amount0, amount1, data);
            if (mode == Mode.Twice) payer.uniswapV3SwapCallback(amount0, amount1, data);
            if (mode == Mode.TwiceQuietly) {
                try payer.uniswapV3SwapCallback(amount0, amount1, data) {}
                catch {
                    ++refusals;
                }
            }
        }
    }
}

/// @notice A pair that reports equal reserves, keeps what it is paid, and misbehaves as told.
contract HostilePair {
    enum Mode {
        Taker, // takes and does not pay
        Caller // calls back as a pool would
    }

    uint112 public immutable reserve;
    Mode public mode;

    constructor(uint112 reserve_) {
        reserve = reserve_;
    }

    function behave(Mode mode_) external {
        mode = mode_;
    }

    function getReserves() external view returns (uint112, uint112, uint32) {
        return (reserve, reserve, 0);
    }

    function swap(uint256, uint256, address to, bytes calldata data) external {
        if (mode == Mode.Caller) IPayer(to).uniswapV3SwapCallback(1, -1, data);
    }
}
