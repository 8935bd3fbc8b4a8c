// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IStandardBorrower, IStandardLender} from "./Interfaces.sol";
import {Tokens} from "./Tokens.sol";

/// @title The operator's own tokens, lent to the executor for the length of one call
/// @notice The treasury keeps its tokens and gives this contract an allowance of each that may be
/// used; taking the allowance back ends it. What is lent is back at the treasury when the call
/// returns, whatever the executor's programs do in between, so that a leaked operator's key
/// endangers none of it. An allowance to the executor itself could not be guarded: its programs may
/// call anything.
/// @dev An ERC-3156 lender without a fee whose only borrower is the executor. Nothing can be changed.
contract Inventory is IStandardLender {
    error NotExecutor(address caller);
    error CallbackRefused();
    error TreasuryShort(address token, uint256 held, uint256 before);

    bytes32 private constant LENT = keccak256("ERC3156FlashBorrower.onFlashLoan");

    /// @notice The only borrower.
    address public immutable executor;
    /// @notice Whose tokens are lent.
    address public immutable treasury;

    constructor(address executor_, address treasury_) {
        executor = executor_;
        treasury = treasury_;
    }

    /// @inheritdoc IStandardLender
    function maxFlashLoan(address token) external view returns (uint256) {
        uint256 held = Tokens.balanceOf(token, treasury);
        uint256 allowed = Tokens.allowance(token, treasury, address(this));
        return held < allowed ? held : allowed;
    }

    /// @inheritdoc IStandardLender
    function flashFee(address, uint256) external pure returns (uint256) {
        return 0;
    }

    /// @inheritdoc IStandardLender
    function flashLoan(address receiver, address token, uint256 amount, bytes calldata data)
        external
        returns (bool)
    {
        if (msg.sender != executor || receiver != executor) revert NotExecutor(msg.sender);
        uint256 before = Tokens.balanceOf(token, treasury);
        Tokens.transferFrom(token, treasury, receiver, amount);
        bytes32 said = IStandardBorrower(receiver).onFlashLoan(receiver, token, amount, 0, data);
        if (said != LENT) revert CallbackRefused();
        Tokens.transferFrom(token, receiver, treasury, amount);
        uint256 held = Tokens.balanceOf(token, treasury);
        if (held < before) revert TreasuryShort(token, held, before);
        return true;
    }
}
