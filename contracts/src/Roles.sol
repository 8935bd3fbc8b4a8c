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
    event OperatorAdded(address indexed operator);
    event OperatorRemoved(address indexed operator);
    event RecipientSet(address indexed recipient);
    event Rescued(address indexed token, address indexed to, uint256 amount);

    /// @notice May set roles and rescue tokens; cannot run programs. Slot 0.
    address public owner;
    /// @dev Where each operator is in `_operators`, counted from one; zero for nobody else. Slot 1.
    mapping(address => uint256) private _places;
    /// @notice Where everything goes that a program earns or leaves over. Slot 2.
    address public recipient;
    /// @notice Offered the ownership. Slot 3.
    address public pendingOwner;
    /// @dev The hot keys that run programs. None disarms the contract. Slot 4.
    address[] private _operators;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    modifier onlyOperator() {
        if (_places[msg.sender] == 0) revert NotOperator(msg.sender);
        _;
    }

    constructor(address owner_, address[] memory operators_, address recipient_) {
        if (owner_ == address(0)) revert InvalidAddress(owner_);
        owner = owner_;
        emit OwnershipTransferred(address(0), owner_);
        for (uint256 i = 0; i < operators_.length; ++i) {
            _addOperator(operators_[i]);
        }
        _setRecipient(recipient_);
    }

    /// @notice Return who may run programs; none means that the contract is disarmed.
    function operators() external view returns (address[] memory) {
        return _operators;
    }

    function isOperator(address account) external view returns (bool) {
        return _places[account] != 0;
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

    /// @notice Let one more key run programs, each of them at any time and for itself.
    function addOperator(address operator) external onlyOwner {
        _addOperator(operator);
    }

    /// @notice Let a key run no more programs. After a key has leaked deploy anew instead: its thief
    /// could have run programs that left allowances.
    function removeOperator(address operator) external onlyOwner {
        uint256 place = _places[operator];
        if (place == 0) revert InvalidAddress(operator);
        address last = _operators[_operators.length - 1];
        _operators[place - 1] = last;
        _places[last] = place;
        _operators.pop();
        delete _places[operator];
        emit OperatorRemoved(operator);
    }

    /// @notice Let nobody run programs.
    function disarm() external onlyOwner {
        for (uint256 left = _operators.length; left != 0; --left) {
            address operator = _operators[left - 1];
            _operators.pop();
            delete _places[operator];
            emit OperatorRemoved(operator);
        }
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

    function _addOperator(address operator) private {
        if (operator == address(0) || _places[operator] != 0) revert InvalidAddress(operator);
        _operators.push(operator);
        _places[operator] = _operators.length;
        emit OperatorAdded(operator);
    }

    function _setRecipient(address recipient_) private {
        if (recipient_ == address(0) || recipient_ == address(this)) {
            revert InvalidAddress(recipient_);
        }
        recipient = recipient_;
        emit RecipientSet(recipient_);
    }
}
