// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Frame, Program} from "./Program.sol";

/// @title What steps share: the callback that may come, and the steps that run in it
/// @dev A commitment is made before a contract is called that calls back, and is used up by the one
/// callback that matches it: its kind, its caller and every byte that was handed out.
abstract contract Steps {
    error UnexpectedCallback(address caller);
    error CallbackMissing(address callee);
    error PaymentAboveLimit(uint256 asked, uint256 limit);
    error NoCode(address target);
    error CallFailed(address target, bytes reason);

    /// @notice A call that the program let fail has failed.
    event CallSkipped(address indexed target, bytes reason);

    uint256 internal constant EXACT_OUT = 2;
    uint256 internal constant ZERO_FOR_ONE = 1;
    uint256 internal constant OPTIONAL = 4;

    /// @dev Bytes before the address table in what a callback gets: token 20, limit 32.
    uint256 private constant TERMS = 52;
    /// @dev Bytes of a failed call's answer that are handed on.
    uint256 private constant MAX_REASON = 1024;

    /// @dev Commitment to the only callback that is acceptable now; zero for none.
    bytes32 private transient _armed;

    /// @dev Run the steps from calldata offset `pos`, which must end exactly at `end`.
    function _run(Frame memory frame, uint256 pos, uint256 end) internal virtual;

    function _endOfInner(uint256 pos, uint256 end) internal pure returns (uint256 next) {
        next = pos + 2 + Program.uint16At(pos);
        if (next > end) revert Program.MalformedProgram(pos);
    }

    /// @dev What a callback gets: token, limit, and if there are inner steps the table and the steps.
    function _terms(Frame memory frame, address token, uint256 limit, uint256 pos, uint256 end)
        internal
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
    function _arm(uint256 kind, address callee, bytes memory data) internal {
        _armed = keccak256(abi.encode(kind, callee, keccak256(data)));
    }

    function _disarm() internal {
        _armed = 0;
    }

    function _accept(uint256 kind, bytes calldata data)
        internal
        returns (address token, uint256 limit)
    {
        if (_armed != keccak256(abi.encode(kind, msg.sender, keccak256(data)))) {
            revert UnexpectedCallback(msg.sender);
        }
        _armed = 0;
        token = address(bytes20(data[:20]));
        limit = uint256(bytes32(data[20:TERMS]));
    }

    /// @dev Run the inner steps that an accepted callback was handed, owing `due` of `token`.
    function _inner(bytes calldata data, address token, uint256 due) internal {
        if (data.length == TERMS) return;
        uint256 table;
        assembly {
            table := add(data.offset, TERMS)
        }
        uint256 end = table + data.length - TERMS;
        uint256 pos = table + Program.tableSize(table);
        _run(Frame({table: table, token: token, due: due}), pos, end);
    }

    function _requireCalledBack(address callee) internal view {
        if (_armed != 0) revert CallbackMissing(callee);
    }

    /// @dev Return whether the call succeeded; only an optional one may fail.
    function _invoke(address target, uint256 value, bytes memory data, bool optional)
        internal
        returns (bool ok)
    {
        if (target.code.length == 0) revert NoCode(target);
        assembly ("memory-safe") {
            ok := call(gas(), target, value, add(data, 0x20), mload(data), 0, 0)
        }
        if (ok) return true;
        if (!optional) revert CallFailed(target, _reason());
        emit CallSkipped(target, _reason());
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
}
