// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Token} from "stand-ins/Tokens.sol";

/// @notice A constant-product pair that checks what `UniswapV2Pair.swap` checks, for any fee.
contract Pair {
    Token public immutable token0;
    Token public immutable token1;
    /// @notice Millionths of the amount in.
    uint256 public immutable fee;
    uint112 private reserve0;
    uint112 private reserve1;

    constructor(Token a, Token b, uint256 fee_) {
        (token0, token1) = address(a) < address(b) ? (a, b) : (b, a);
        fee = fee_;
    }

    function sync() public {
        reserve0 = uint112(token0.balanceOf(address(this)));
        reserve1 = uint112(token1.balanceOf(address(this)));
    }

    function getReserves() external view returns (uint112, uint112, uint32) {
        return (reserve0, reserve1, 0);
    }

    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata) external {
        require(amount0Out > 0 || amount1Out > 0, "INSUFFICIENT_OUTPUT_AMOUNT");
        require(amount0Out < reserve0 && amount1Out < reserve1, "INSUFFICIENT_LIQUIDITY");
        if (amount0Out > 0) token0.transfer(to, amount0Out);
        if (amount1Out > 0) token1.transfer(to, amount1Out);
        uint256 balance0 = token0.balanceOf(address(this));
        uint256 balance1 = token1.balanceOf(address(this));
        uint256 amount0In = _in(balance0, reserve0 - amount0Out);
        uint256 amount1In = _in(balance1, reserve1 - amount1Out);
        require(amount0In > 0 || amount1In > 0, "INSUFFICIENT_INPUT_AMOUNT");
        uint256 adjusted0 = balance0 * 1e6 - amount0In * fee;
        uint256 adjusted1 = balance1 * 1e6 - amount1In * fee;
        require(adjusted0 * adjusted1 >= uint256(reserve0) * reserve1 * 1e12, "K");
        sync();
    }

    function _in(uint256 balance, uint256 floor) private pure returns (uint256) {
        return balance > floor ? balance - floor : 0;
    }
}
