// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IPair, ISwapPayer, ISwapPool} from "./Interfaces.sol";
import {Pairs} from "./Pairs.sol";
import {Frame, Program} from "./Program.sol";
import {Steps} from "./Steps.sol";
import {Tokens} from "./Tokens.sol";

/// @title Swaps against pools themselves, without a router
abstract contract Swaps is Steps, ISwapPayer {
    error AmountTooLarge(uint256 amount);

    uint256 internal constant SWAP = 2;
    uint256 internal constant PAIR = 5;

    /// @dev `TickMath.MIN_SQRT_RATIO + 1` and `MAX_SQRT_RATIO - 1`: no price limit of the pool's.
    uint160 private constant LOWEST_PRICE = 4295128740;
    uint160 private constant HIGHEST_PRICE = 1461446703485210103287273052203988822378723970341;

    /// @inheritdoc ISwapPayer
    /// @dev Of the two deltas the positive one is owed. A pool that names none as owed is asking for
    /// nothing or, as a huge number, for more than the limit.
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data)
        external
    {
        (address token, uint256 limit) = _accept(SWAP, data);
        uint256 due = uint256(amount0Delta > 0 ? amount0Delta : amount1Delta);
        if (due > limit) revert PaymentAboveLimit(due, limit);
        _inner(data, token, due);
        Tokens.transfer(token, msg.sender, due);
    }

    function _swap(Frame memory frame, uint256 pos, uint256 end, uint256 flags)
        internal
        returns (uint256 next)
    {
        address pool = Program.addressAt(frame, pos);
        address token = Program.addressAt(frame, pos + 1);
        uint256 amount;
        (amount, pos) = Program.operand(frame, pos + 2);
        uint256 limit = amount;
        if (flags & EXACT_OUT != 0) (limit, pos) = Program.operand(frame, pos);
        next = _endOfInner(pos, end);
        if (amount == 0) return next;
        if (amount > uint256(type(int256).max)) revert AmountTooLarge(amount);

        bytes memory data = _terms(frame, token, limit, pos + 2, next);
        bool zeroForOne = flags & ZERO_FOR_ONE != 0;
        int256 signed = flags & EXACT_OUT != 0 ? -int256(amount) : int256(amount);
        uint160 price = zeroForOne ? LOWEST_PRICE : HIGHEST_PRICE;
        _arm(SWAP, pool, data);
        ISwapPool(pool).swap(address(this), zeroForOne, signed, price, data);
        _requireCalledBack(pool);
    }

    /// @dev A pair is paid first and handed what that buys at the reserves it reports: one that lies
    /// gains no more than `limit`, which the program set, and the minimum profit answers for that.
    function _pair(Frame memory frame, uint256 pos, uint256 end, uint256 flags)
        internal
        returns (uint256 next)
    {
        address pair = Program.addressAt(frame, pos);
        uint256 paid;
        uint256 bought;
        uint256 steps;
        (paid, bought, steps) = _priced(frame, pair, pos + 2, flags);
        next = _endOfInner(steps, end);
        if (paid == 0 || bought == 0) return next;

        address token = Program.addressAt(frame, pos + 1);
        steps += 2;
        if (steps != next) {
            _run(Frame({table: frame.table, token: token, due: paid}), steps, next);
        }
        Tokens.transfer(token, pair, paid);
        bool zeroForOne = flags & ZERO_FOR_ONE != 0;
        IPair(pair).swap(zeroForOne ? 0 : bought, zeroForOne ? bought : 0, address(this), "");
    }

    /// @dev Return what a swap with a pair pays and buys; either is zero if there is nothing to do.
    function _priced(Frame memory frame, address pair, uint256 pos, uint256 flags)
        private
        view
        returns (uint256 paid, uint256 bought, uint256 next)
    {
        bool zeroForOne = flags & ZERO_FOR_ONE != 0;
        uint256 fee = Program.uint16At(pos);
        (paid, next) = Program.operand(frame, pos + 2);
        if (flags & EXACT_OUT == 0) {
            if (paid != 0) bought = Pairs.amountOut(pair, zeroForOne, fee, paid);
        } else {
            bought = paid;
            uint256 limit;
            (limit, next) = Program.operand(frame, next);
            if (bought == 0) return (0, 0, next);
            paid = Pairs.amountIn(pair, zeroForOne, fee, bought);
            if (paid > limit) revert PaymentAboveLimit(paid, limit);
        }
    }
}
