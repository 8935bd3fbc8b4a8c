// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "./Interfaces.sol";

/// @title Calls of tokens, with or without return values, and payments in native coin
library Tokens {
    /// @notice `token` has no code, reverted, or answered anything but nothing or `true`.
    error TokenCallFailed(address token);
    /// @notice `to` refused native coin, or there was not as much.
    error NativeTransferFailed(address to, uint256 amount);

    function approve(address token, address spender, uint256 amount) internal {
        _call(token, abi.encodeCall(IERC20.approve, (spender, amount)));
    }

    function transfer(address token, address to, uint256 amount) internal {
        _call(token, abi.encodeCall(IERC20.transfer, (to, amount)));
    }

    function transferFrom(address token, address from, address to, uint256 amount) internal {
        _call(token, abi.encodeCall(IERC20.transferFrom, (from, to, amount)));
    }

    /// @notice Take back whatever `spender` may still spend.
    function revoke(address token, address spender) internal {
        if (allowance(token, address(this), spender) != 0) approve(token, spender, 0);
    }

    function allowance(address token, address holder, address spender)
        internal
        view
        returns (uint256)
    {
        return IERC20(token).allowance(holder, spender);
    }

    function balanceOf(address token, address account) internal view returns (uint256) {
        return IERC20(token).balanceOf(account);
    }

    /// @dev Leaves the answer unread, so that it cannot burn gas.
    function sendNative(address to, uint256 amount) internal {
        bool ok;
        assembly ("memory-safe") {
            ok := call(gas(), to, amount, 0, 0, 0, 0)
        }
        if (!ok) revert NativeTransferFailed(to, amount);
    }

    /// @dev Reads one word of the answer at most, so a token cannot burn gas by a huge one.
    function _call(address token, bytes memory data) private {
        bool ok;
        uint256 size;
        uint256 answer;
        assembly ("memory-safe") {
            ok := call(gas(), token, 0, add(data, 0x20), mload(data), 0, 0x20)
            size := returndatasize()
            answer := mload(0)
        }
        bool said = size == 0 ? token.code.length != 0 : size >= 32 && answer == 1;
        if (!ok || !said) revert TokenCallFailed(token);
    }
}
