// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {
    IFlashBorrower,
    IFlashLender,
    IFlashPool,
    IFlashPoolBorrower,
    IFlashVault,
    IFlashVaultBorrower,
    ILatePayer,
    IStandardBorrower,
    IStandardLender
} from "./Interfaces.sol";
import {Frame, Program} from "./Program.sol";
import {Steps} from "./Steps.sol";
import {Tokens} from "./Tokens.sol";

/// @title Loans within the transaction, and calls that are paid after they have called back
/// @dev What a lender asks for on top is bounded by the minimum profit alone.
abstract contract Loans is
    Steps,
    IFlashBorrower,
    IFlashPoolBorrower,
    IFlashVaultBorrower,
    IStandardBorrower,
    ILatePayer
{
    error UnknownLender(uint256 how);

    uint256 internal constant FLASH = 3;
    uint256 internal constant LATER = 4;

    /// @dev The flags of FLASH: whose interface the lender has.
    uint256 private constant SIMPLE = 0;
    uint256 private constant POOL = 1;
    uint256 private constant VAULT = 2;
    uint256 private constant STANDARD = 3;

    bytes32 private constant LENT = keccak256("ERC3156FlashBorrower.onFlashLoan");

    /// @inheritdoc IFlashBorrower
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external returns (bool) {
        if (initiator != address(this)) revert UnexpectedCallback(msg.sender);
        uint256 due = _borrowed(SIMPLE, params, asset, amount, premium);
        Tokens.approve(asset, msg.sender, due);
        return true;
    }

    /// @inheritdoc IFlashPoolBorrower
    /// @dev Only one of the pool's tokens was borrowed, so only one of the fees is not zero.
    function uniswapV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external {
        (address token, uint256 amount) = _accept(FLASH | POOL << 4, data);
        uint256 due = amount + fee0 + fee1;
        _inner(data, token, due);
        Tokens.transfer(token, msg.sender, due);
    }

    /// @inheritdoc IFlashVaultBorrower
    function receiveFlashLoan(
        address[] calldata tokens,
        uint256[] calldata amounts,
        uint256[] calldata feeAmounts,
        bytes calldata userData
    ) external {
        if (tokens.length != 1) revert UnexpectedCallback(msg.sender);
        uint256 due = _borrowed(VAULT, userData, tokens[0], amounts[0], feeAmounts[0]);
        Tokens.transfer(tokens[0], msg.sender, due);
    }

    /// @inheritdoc IStandardBorrower
    function onFlashLoan(
        address initiator,
        address token,
        uint256 amount,
        uint256 fee,
        bytes calldata data
    ) external returns (bytes32) {
        if (initiator != address(this)) revert UnexpectedCallback(msg.sender);
        uint256 due = _borrowed(STANDARD, data, token, amount, fee);
        Tokens.approve(token, msg.sender, due);
        return LENT;
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

    function _flash(Frame memory frame, uint256 pos, uint256 end, uint256 how)
        internal
        returns (uint256 next)
    {
        address lender = Program.addressAt(frame, pos);
        address asset = Program.addressAt(frame, pos + 1);
        uint256 amount;
        (amount, pos) = Program.operand(frame, pos + 2);
        next = _endOfInner(pos, end);
        bytes memory data = _terms(frame, asset, amount, pos + 2, next);
        _arm(FLASH | how << 4, lender, data);
        _borrow(how, lender, asset, amount, data);
        _requireCalledBack(lender);
        if (how == SIMPLE || how == STANDARD) Tokens.revoke(asset, lender);
    }

    function _later(Frame memory frame, uint256 pos, uint256 end, uint256 flags)
        internal
        returns (uint256 next)
    {
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
        head = bytes.concat(head, bytes32(data.length), data, bytes32(0));
        if (_invoke(target, 0, head, flags & OPTIONAL != 0)) {
            _requireCalledBack(target);
            Tokens.revoke(token, target);
        } else {
            _disarm();
        }
    }

    function _borrow(
        uint256 how,
        address lender,
        address asset,
        uint256 amount,
        bytes memory data
    ) private {
        if (how == SIMPLE) {
            IFlashLender(lender).flashLoanSimple(address(this), asset, amount, data, 0);
        } else if (how == POOL) {
            bool first = IFlashPool(lender).token0() == asset;
            (uint256 amount0, uint256 amount1) = first ? (amount, uint256(0)) : (0, amount);
            IFlashPool(lender).flash(address(this), amount0, amount1, data);
        } else if (how == VAULT) {
            address[] memory tokens = new address[](1);
            uint256[] memory amounts = new uint256[](1);
            (tokens[0], amounts[0]) = (asset, amount);
            IFlashVault(lender).flashLoan(address(this), tokens, amounts, data);
        } else if (how == STANDARD) {
            IStandardLender(lender).flashLoan(address(this), asset, amount, data);
        } else {
            revert UnknownLender(how);
        }
    }

    /// @dev Run the inner steps of a loan that is called back as it was asked for; return what is due.
    function _borrowed(
        uint256 how,
        bytes calldata data,
        address asset,
        uint256 amount,
        uint256 fee
    ) private returns (uint256 due) {
        (address token, uint256 wanted) = _accept(FLASH | how << 4, data);
        if (asset != token || amount != wanted) revert UnexpectedCallback(msg.sender);
        due = amount + fee;
        _inner(data, token, due);
    }

    /// @dev Run the inner steps of LATER and let the caller take what is due.
    function _payLater(uint256 due, bytes calldata data) private {
        (address token, uint256 limit) = _accept(LATER, data);
        if (due > limit) revert PaymentAboveLimit(due, limit);
        _inner(data, token, due);
        Tokens.approve(token, msg.sender, due);
    }
}
