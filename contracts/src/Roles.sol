// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Tokens} from "./Tokens.sol";

/// @title Who owns, operates and is paid by the executor
/// @dev The storage slots are part of the interface: rehearsals override them.
abstract contract Roles {
    error NotOwner(address caller);
    error NotOperator(address caller);
    error InvalidAddress(address given);

    event OwnershipOffered(address indexed owner, address indexed pendingOwner);
    event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);
    event OperatorSet(address indexed operator);
    event RecipientSet(address indexed recipient);
    event Rescued(address indexed token, address indexed to, uint256 amount);

    /// @notice May set roles and rescue tokens; cannot run programs. Slot 0.
    address public owner;
    /// @notice The hot key that runs programs. Zero disarms the contract. Slot 1.
    address public operator;
    /// @notice Where everything goes that a program earns or leaves over. Slot 2.
    address public recipient;
    /// @notice Offered the ownership. Slot 3.
    address public pendingOwner;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    modifier onlyOperator() {
        if (msg.sender != operator) revert NotOperator(msg.sender);
        _;
    }

    constructor(address owner_, address operator_, address recipient_) {
        if (owner_ == address(0)) revert InvalidAddress(owner_);
        owner = owner_;
        operator = operator_;
        emit OwnershipTransferred(address(0), owner_);
        emit OperatorSet(operator_);
        _setRecipient(recipient_);
    }

    /// @notice Offer the ownership to `pending`, who must accept it; zero withdraws the offer.
    function transferOwnership(address pending) external onlyOwner {
        pendingOwner = pending;
        emit OwnershipOffered(msg.sender, pending);
    }

    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotOwner(msg.sender);
        emit OwnershipTransferred(owner, msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
    }

    /// @notice Rotate the operator; zero disarms. After a key has leaked deploy anew instead: its
    /// thief could have run programs that left allowances.
    function setOperator(address operator_) external onlyOwner {
        operator = operator_;
        emit OperatorSet(operator_);
    }

    /// @notice Set who is paid. It must never approve this contract to spend its tokens, since the
    /// operator's programs may call anything.
    function setRecipient(address recipient_) external onlyOwner {
        _setRecipient(recipient_);
    }

    /// @notice Send out tokens that ended up here by accident; token zero is the native coin.
    function rescue(address token, address to, uint256 amount) external onlyOwner {
        if (to == address(0)) revert InvalidAddress(to);
        emit Rescued(token, to, amount);
        if (token == address(0)) Tokens.sendNative(to, amount);
        else Tokens.transfer(token, to, amount);
    }

    function _setRecipient(address recipient_) private {
        if (recipient_ == address(0) || recipient_ == address(this)) {
            revert InvalidAddress(recipient_);
        }
        recipient = recipient_;
        emit RecipientSet(recipient_);
    }
}
