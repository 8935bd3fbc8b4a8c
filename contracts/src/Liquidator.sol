// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {
    IFlashBorrower, IFlashLender, ILatePayer, ISwapPayer, ISwapPool, IWrappedNative
} from "./Interfaces.sol";
import {Frame, Program} from "./Program.sol";
import {Roles} from "./Roles.sol";
import {Tokens} from "./Tokens.sol";

/// @title Keeper's on-chain executor
/// @notice Runs one packed program for the operator: borrow, liquidate, swap, repay, pay the
/// proposer, and leave the rest at the recipient, whose balance of the profit token must have grown
/// by the program's minimum or everything is undone.
///
/// What holds whatever the program, the tokens and the pools do:
/// - only the operator starts a program, and one at a time;
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
///     CALL  1  (flags 1 approve, 2 value)  target  [token spender amount:operand]  [value:operand]
///              selector:4 parts:1 {part}
///     SWAP  2  (flags 1 zero for one, 2 exact out)  pool  tokenIn  amount:operand
///              [limit:operand if exact out]  size:2 steps
///     FLASH 3  lender  asset  amount:operand  size:2 steps
///     LATER 4  target  token  limit:operand  selector:4 parts:1 {part}  size:2 steps
///
/// The inner steps of FLASH, SWAP and LATER run in the callback, when what was borrowed, bought or
/// seized has been received and before it is paid for. A swap of amount zero is skipped with its inner
/// steps. LATER calls a function whose last argument is `bytes` for its callback: the parts are the
/// words of all arguments, the offset of the last one included, and its content is put behind them.
/// The callback says what of `token` is due, and `target` takes it when the callback has returned.
///
/// @dev No immutables and no linked libraries: the runtime code is the same everywhere, so that a
/// deployment can be rehearsed by overriding code and the storage slots noted in `Roles`.
contract Liquidator is Roles, IFlashBorrower, ILatePayer, ISwapPayer {
    error Reentered();
    error DeadlinePassed(uint256 deadline, uint256 timestamp);
    error UnexpectedCallback(address caller);
    error UnexpectedNative(address sender);
    error CallbackMissing(address callee);
    error PaymentAboveLimit(uint256 asked, uint256 limit);
    error AmountTooLarge(uint256 amount);
    error NoCode(address target);
    error CallFailed(address target, bytes reason);
    error ProfitBelowMinimum(uint256 profit, uint256 minimum);

    uint256 private constant CALL = 1;
    uint256 private constant SWAP = 2;
    uint256 private constant FLASH = 3;
    uint256 private constant LATER = 4;

    uint256 private constant APPROVE = 1;
    uint256 private constant VALUE = 2;
    uint256 private constant ZERO_FOR_ONE = 1;
    uint256 private constant EXACT_OUT = 2;

    /// @dev Calldata offsets of the header: selector 4, deadline 5, count of tokens 1, address table.
    uint256 private constant DEADLINE = 4;
    uint256 private constant TOKENS = 9;
    uint256 private constant TABLE = 10;

    uint256 private constant FROM_VALUE = 255;
    /// @dev Bytes before the address table in what a callback gets: token 20, limit 32.
    uint256 private constant TERMS = 52;
    /// @dev Bytes of a failed call's answer that are handed on.
    uint256 private constant MAX_REASON = 1024;
    /// @dev `TickMath.MIN_SQRT_RATIO + 1` and `MAX_SQRT_RATIO - 1`: no price limit of the pool's.
    uint160 private constant LOWEST_PRICE = 4295128740;
    uint160 private constant HIGHEST_PRICE = 1461446703485210103287273052203988822378723970341;

    bool private transient _executing;
    /// @dev Commitment to the only callback that is acceptable now; zero for none.
    bytes32 private transient _armed;

    constructor(address owner_, address operator_, address recipient_)
        Roles(owner_, operator_, recipient_)
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

    /// @inheritdoc IFlashBorrower
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external returns (bool) {
        (address token, uint256 limit) = _accept(FLASH, params);
        if (initiator != address(this) || asset != token || amount != limit) {
            revert UnexpectedCallback(msg.sender);
        }
        uint256 due = amount + premium;
        _inner(params, token, due);
        Tokens.approve(token, msg.sender, due);
        return true;
    }

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

    /// @inheritdoc ILatePayer
    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external {
        _payLater(assets, data);
    }

    /// @inheritdoc ILatePayer
    function onMorphoLiquidate(uint256 repaidAssets, bytes calldata data) external {
        _payLater(repaidAssets, data);
    }

    /// @inheritdoc ILatePayer
    function onPreLiquidate(uint256 repaidAssets, bytes calldata data) external {
        _payLater(repaidAssets, data);
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

    function _run(Frame memory frame, uint256 pos, uint256 end) private {
        while (pos < end) {
            uint256 head = Program.uint8At(pos);
            uint256 kind = head & 15;
            if (kind == CALL) pos = _call(frame, pos + 1, end, head >> 4);
            else if (kind == SWAP) pos = _swap(frame, pos + 1, end, head >> 4);
            else if (kind == FLASH) pos = _flash(frame, pos + 1, end);
            else if (kind == LATER) pos = _later(frame, pos + 1, end);
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
        _invoke(target, value, data);
        if (flags & APPROVE != 0) Tokens.revoke(token, spender);
        return pos;
    }

    function _swap(Frame memory frame, uint256 pos, uint256 end, uint256 flags)
        private
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

    function _flash(Frame memory frame, uint256 pos, uint256 end) private returns (uint256 next) {
        address lender = Program.addressAt(frame, pos);
        address asset = Program.addressAt(frame, pos + 1);
        uint256 amount;
        (amount, pos) = Program.operand(frame, pos + 2);
        next = _endOfInner(pos, end);
        bytes memory data = _terms(frame, asset, amount, pos + 2, next);
        _arm(FLASH, lender, data);
        IFlashLender(lender).flashLoanSimple(address(this), asset, amount, data, 0);
        _requireCalledBack(lender);
        Tokens.revoke(asset, lender);
    }

    function _later(Frame memory frame, uint256 pos, uint256 end) private returns (uint256 next) {
        address target = Program.addressAt(frame, pos);
        address token = Program.addressAt(frame, pos + 1);
        uint256 limit;
        (limit, pos) = Program.operand(frame, pos + 2);
        bytes memory head;
        (head, pos) = Program.callData(frame, pos, end);
        next = _endOfInner(pos, end);
        bytes memory data = _terms(frame, token, limit, pos + 2, next);
        _arm(LATER, target, data);
        // Words that end the calldata past the bytes pad them; how many there are does not matter.
        _invoke(target, 0, bytes.concat(head, bytes32(data.length), data, bytes32(0)));
        _requireCalledBack(target);
        Tokens.revoke(token, target);
    }

    /// @dev Run the inner steps of LATER and let the caller take what is due.
    function _payLater(uint256 due, bytes calldata data) private {
        (address token, uint256 limit) = _accept(LATER, data);
        if (due > limit) revert PaymentAboveLimit(due, limit);
        _inner(data, token, due);
        Tokens.approve(token, msg.sender, due);
    }

    function _endOfInner(uint256 pos, uint256 end) private pure returns (uint256 next) {
        next = pos + 2 + Program.uint16At(pos);
        if (next > end) revert Program.MalformedProgram(pos);
    }

    /// @dev What a callback gets: token, limit, and if there are inner steps the table and the steps.
    function _terms(Frame memory frame, address token, uint256 limit, uint256 pos, uint256 end)
        private
        pure
        returns (bytes memory data)
    {
        uint256 table = frame.table;
        uint256 size = pos == end ? 0 : Program.tableSize(table);
        data = new bytes(TERMS + size + end - pos);
        assembly ("memory-safe") {
            let to := add(data, 0x20)
            mstore(to, shl(96, token))
            mstore(add(to, 20), limit)
            calldatacopy(add(to, TERMS), table, size)
            calldatacopy(add(add(to, TERMS), size), pos, sub(end, pos))
        }
    }

    /// @dev Accept one callback of `kind` from `callee` with exactly `data`, and no other.
    function _arm(uint256 kind, address callee, bytes memory data) private {
        _armed = keccak256(abi.encode(kind, callee, keccak256(data)));
    }

    function _accept(uint256 kind, bytes calldata data)
        private
        returns (address token, uint256 limit)
    {
        if (_armed != keccak256(abi.encode(kind, msg.sender, keccak256(data)))) {
            revert UnexpectedCallback(msg.sender);
        }
        _armed = 0;
        token = address(bytes20(data[:20]));
        limit = uint256(bytes32(data[20:TERMS]));
    }

    function _inner(bytes calldata data, address token, uint256 due) private {
        if (data.length == TERMS) return;
        uint256 table;
        assembly {
            table := add(data.offset, TERMS)
        }
        uint256 end = table + data.length - TERMS;
        uint256 pos = table + Program.tableSize(table);
        _run(Frame({table: table, token: token, due: due}), pos, end);
    }

    function _requireCalledBack(address callee) private view {
        if (_armed != 0) revert CallbackMissing(callee);
    }

    function _invoke(address target, uint256 value, bytes memory data) private {
        if (target.code.length == 0) revert NoCode(target);
        bool ok;
        assembly ("memory-safe") {
            ok := call(gas(), target, value, add(data, 0x20), mload(data), 0, 0)
        }
        if (!ok) revert CallFailed(target, _reason());
    }

    function _reason() private pure returns (bytes memory reason) {
        uint256 size;
        assembly ("memory-safe") {
            size := returndatasize()
        }
        reason = new bytes(size < MAX_REASON ? size : MAX_REASON);
        assembly ("memory-safe") {
            returndatacopy(add(reason, 0x20), 0, mload(reason))
        }
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
