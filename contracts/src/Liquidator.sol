// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IWrappedNative} from "./Interfaces.sol";
import {Loans} from "./Loans.sol";
import {Frame, Program} from "./Program.sol";
import {Roles} from "./Roles.sol";
import {Swaps} from "./Swaps.sol";
import {Tokens} from "./Tokens.sol";

/// @title Keeper's on-chain executor
/// @notice Runs one packed program for an operator: borrow, liquidate, swap, repay, pay the
/// proposer, and leave the rest at the recipient, whose balance of the profit token must have grown
/// by the program's minimum or everything is undone.
///
/// What holds whatever the program, the tokens and the pools do:
/// - only operators start programs, and one at a time;
/// - a callback is accepted once, from the address that was called, of the kind and with the bytes
///   that were handed to it (`_armed` commits to all three before each such call);
/// - a payment in a swap callback, or after a call that is paid later, never exceeds the limit that
///   the program set;
/// - each approval is exact and revoked in the step that gave it;
/// - what is left of any token listed in the program, and of the native coin, is sent away.
///
/// The program, which follows the selector of `execute` unpadded:
///
///     deadline:5  tokens:1  count:1  addresses:20*count  minProfit:operand  tip:operand  source:1  steps
///
/// The first `tokens` addresses are the tokens to sweep; the first of them is the profit token. A
/// tip comes out of the native coin sent along if `source` is 255, else from unwrapping the token of
/// that index. Operands are described in `Program`. Each step starts with one byte, its kind in
/// the low half and its flags in the high half; target, token, pool and the like are indices:
///
///     CALL  1  (flags 1 approve, 2 value, 4 optional)  target  [token spender amount:operand]
///              [value:operand]  selector:4 parts:1 {part}
///     SWAP  2  (flags 1 zero for one, 2 exact out)  pool  tokenIn  amount:operand
///              [limit:operand if exact out]  size:2 steps
///     FLASH 3  (flags 0 Aave, 1 Uniswap V3, 2 Balancer V2, 3 ERC-3156)  lender  asset
///              amount:operand  size:2 steps
///     LATER 4  (flags 4 optional)  target  token  limit:operand  selector:4 parts:1 {part}  size:2 steps
///     PAIR  5  (flags 1 zero for one, 2 exact out)  pair  tokenIn  fee:2  amount:operand
///              [limit:operand if exact out]  size:2 steps
///
/// The inner steps of FLASH, SWAP and LATER run in the callback, when what was borrowed, bought or
/// seized has been received and before it is paid for. Those of PAIR run when its price is known,
/// before it is paid, and owe that price. A swap of amount zero is skipped with its inner steps, and
/// so is a PAIR of an amount that buys nothing. The fee of a PAIR is in millionths of the amount in.
///
/// LATER calls a function whose last argument is `bytes` for its callback: the parts are the
/// words of all arguments, the offset of the last one included, and its content is put behind them.
/// The callback says what of `token` is due, and `target` takes it when the callback has returned.
/// A call that is optional may fail: all it did is undone, `CallSkipped` says so, and the next step
/// follows.
///
/// @dev No immutables and no linked libraries: the runtime code is the same everywhere, so that a
/// deployment can be rehearsed by overriding code and the storage slots noted in `Roles`.
contract Liquidator is Roles, Loans, Swaps {
    error Reentered();
    error DeadlinePassed(uint256 deadline, uint256 timestamp);
    error UnexpectedNative(address sender);
    error ProfitBelowMinimum(uint256 profit, uint256 minimum);

    uint256 private constant CALL = 1;

    uint256 private constant APPROVE = 1;
    uint256 private constant VALUE = 2;

    /// @dev Calldata offsets of the header: selector 4, deadline 5, count of tokens 1, address table.
    uint256 private constant DEADLINE = 4;
    uint256 private constant TOKENS = 9;
    uint256 private constant TABLE = 10;

    uint256 private constant FROM_VALUE = 255;

    bool private transient _executing;

    constructor(address owner_, address[] memory operators_, address recipient_)
        Roles(owner_, operators_, recipient_)
    {}

    /// @notice Accept native coin only while a program runs, from unwrapping or redeeming.
    receive() external payable {
        if (!_executing) revert UnexpectedNative(msg.sender);
    }

    /// @notice Run the packed program that follows the selector.
    /// @return profit What the recipient's balance of the profit token has grown by.
    function execute() external payable onlyOperator returns (uint256 profit) {
        if (_executing) revert Reentered();
        _executing = true;
        uint256 deadline = Program.word(DEADLINE) >> 216;
        if (block.timestamp > deadline) revert DeadlinePassed(deadline, block.timestamp);

        Frame memory frame = Frame({table: TABLE, token: address(0), due: 0});
        address to = recipient;
        address token = Program.entry(TABLE, 0);
        uint256 before = Tokens.balanceOf(token, to);
        (uint256 minimum, uint256 tip) = _runWhole(frame);
        _sweep(to);
        // No token is left here by the time the proposer, who may be a contract, is paid.
        if (tip != 0) Tokens.sendNative(block.coinbase, tip);
        _sweepNative(to);

        uint256 held = Tokens.balanceOf(token, to);
        profit = held < before ? 0 : held - before;
        if (held < before || profit < minimum) revert ProfitBelowMinimum(profit, minimum);
        _executing = false;
    }

    /// @dev Returns what the header asks for at the end. The tip is native coin when it returns.
    function _runWhole(Frame memory frame) private returns (uint256 minimum, uint256 tip) {
        uint256 pos = TABLE + Program.tableSize(TABLE);
        (minimum, pos) = Program.operand(frame, pos);
        (tip, pos) = Program.operand(frame, pos);
        _run(frame, pos + 1, msg.data.length);
        uint256 source = Program.uint8At(pos);
        if (tip != 0 && source != FROM_VALUE) {
            IWrappedNative(Program.entry(TABLE, source)).withdraw(tip);
        }
    }

    function _run(Frame memory frame, uint256 pos, uint256 end) internal override {
        while (pos < end) {
            uint256 head = Program.uint8At(pos);
            uint256 kind = head & 15;
            if (kind == CALL) pos = _call(frame, pos + 1, end, head >> 4);
            else if (kind == SWAP) pos = _swap(frame, pos + 1, end, head >> 4);
            else if (kind == FLASH) pos = _flash(frame, pos + 1, end, head >> 4);
            else if (kind == LATER) pos = _later(frame, pos + 1, end, head >> 4);
            else if (kind == PAIR) pos = _pair(frame, pos + 1, end, head >> 4);
            else revert Program.MalformedProgram(pos);
        }
        if (pos != end) revert Program.MalformedProgram(pos);
    }

    function _call(Frame memory frame, uint256 pos, uint256 end, uint256 flags)
        private
        returns (uint256)
    {
        address target = Program.addressAt(frame, pos++);
        address token;
        address spender;
        uint256 amount;
        if (flags & APPROVE != 0) {
            token = Program.addressAt(frame, pos);
            spender = Program.addressAt(frame, pos + 1);
            (amount, pos) = Program.operand(frame, pos + 2);
            Tokens.approve(token, spender, amount);
        }
        uint256 value;
        if (flags & VALUE != 0) (value, pos) = Program.operand(frame, pos);
        bytes memory data;
        (data, pos) = Program.callData(frame, pos, end);
        _invoke(target, value, data, flags & OPTIONAL != 0);
        if (flags & APPROVE != 0) Tokens.revoke(token, spender);
        return pos;
    }

    function _sweep(address to) private {
        uint256 tokens = Program.uint8At(TOKENS);
        for (uint256 i = 0; i < tokens; ++i) {
            address token = Program.entry(TABLE, i);
            uint256 left = Tokens.balanceOf(token, address(this));
            if (left != 0) Tokens.transfer(token, to, left);
        }
    }

    /// @dev What the operator sent and the tip did not take goes back to it, the rest is profit.
    function _sweepNative(address to) private {
        uint256 left = address(this).balance;
        if (left == 0) return;
        uint256 back = left < msg.value ? left : msg.value;
        if (back != 0) Tokens.sendNative(msg.sender, back);
        if (left != back) Tokens.sendNative(to, left - back);
    }
}
