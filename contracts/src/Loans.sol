// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IFlashBorrower, IFlashLender, ILatePayer} from "./Interfaces.sol";
import {Frame, Program} from "./Program.sol";
import {Steps} from "./Steps.sol";
import {Tokens} from "./Tokens.sol";

/// @title Loans within the transaction, and calls that are paid after they have called back
abstract contract Loans is Steps, IFlashBorrower, ILatePayer {
    uint256 internal constant FLASH = 3;
    uint256 internal constant LATER = 4;

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

    function _flash(Frame memory frame, uint256 pos, uint256 end) internal returns (uint256 next) {
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

    /// @dev Run the inner steps of LATER and let the caller take what is due.
    function _payLater(uint256 due, bytes calldata data) private {
        (address token, uint256 limit) = _accept(LATER, data);
        if (due > limit) revert PaymentAboveLimit(due, limit);
        _inner(data, token, due);
        Tokens.approve(token, msg.sender, due);
    }
}
