// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IPair} from "./Interfaces.sol";

/// @title Prices of constant-product pairs
/// @dev `UniswapV2Library.getAmountOut` and `getAmountIn`, rounding included, with the fee in
/// millionths of the amount in: 3000 is its 997/1000. Both fractions are only extended by a factor,
/// which changes no quotient.
library Pairs {
    /// @notice The pair at `pair` holds no more than `reserve` of what `asked` is wanted of.
    error PairTooShallow(address pair, uint256 asked, uint256 reserve);

    uint256 private constant WHOLE = 1_000_000;

    /// @notice Return the most that `amount` in buys, rounded down.
    function amountOut(address pair, bool zeroForOne, uint256 fee, uint256 amount)
        internal
        view
        returns (uint256)
    {
        (uint256 reserveIn, uint256 reserveOut) = _reserves(pair, zeroForOne);
        uint256 counted = amount * (WHOLE - fee);
        return counted * reserveOut / (reserveIn * WHOLE + counted);
    }

    /// @notice Return the least that buys `amount`, rounded up as Uniswap's router does.
    function amountIn(address pair, bool zeroForOne, uint256 fee, uint256 amount)
        internal
        view
        returns (uint256)
    {
        (uint256 reserveIn, uint256 reserveOut) = _reserves(pair, zeroForOne);
        if (amount >= reserveOut) revert PairTooShallow(pair, amount, reserveOut);
        return reserveIn * amount * WHOLE / ((reserveOut - amount) * (WHOLE - fee)) + 1;
    }

    function _reserves(address pair, bool zeroForOne)
        private
        view
        returns (uint256 reserveIn, uint256 reserveOut)
    {
        (uint256 reserve0, uint256 reserve1,) = IPair(pair).getReserves();
        return zeroForOne ? (reserve0, reserve1) : (reserve1, reserve0);
    }
}
