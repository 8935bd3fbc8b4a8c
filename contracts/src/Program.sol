// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Tokens} from "./Tokens.sol";

/// @notice Where a run of steps finds its addresses, and what it owes when it ends.
/// @dev `table` is a calldata offset: one count byte, then 20 bytes for each address.
struct Frame {
    uint256 table;
    address token;
    uint256 due;
}

/// @title Reader of the packed program
/// @notice An *operand* is one tag byte and what follows it:
///
///     0x00..0x20  that many bytes of a big-endian number
///     0x21        what the frame still owes: its due less the balance held of its token
///     0x22        the executor's own address
///     0x24        the native coin held, in wei
///     0x40 | i    address i of the table
///     0x80 | i    the balance held of the token at address i
///
/// Calldata offsets are absolute, so the same reader serves the transaction and the callbacks.
library Program {
    /// @notice The program cannot be read at calldata offset `pos`.
    error MalformedProgram(uint256 pos);

    uint256 private constant OWED = 0x21;
    uint256 private constant SELF = 0x22;
    uint256 internal constant RAW = 0x23;
    uint256 private constant NATIVE = 0x24;

    /// @dev Bytes past the end of calldata read as zero; `Liquidator` checks that runs end exactly.
    function word(uint256 pos) internal pure returns (uint256 value) {
        assembly {
            value := calldataload(pos)
        }
    }

    function uint8At(uint256 pos) internal pure returns (uint256) {
        return word(pos) >> 248;
    }

    function uint16At(uint256 pos) internal pure returns (uint256) {
        return word(pos) >> 240;
    }

    /// @notice Bytes that the address table at `table` fills.
    function tableSize(uint256 table) internal pure returns (uint256) {
        unchecked {
            return 1 + 20 * uint8At(table);
        }
    }

    /// @notice Return address `index` of the table at `table`.
    function entry(uint256 table, uint256 index) internal pure returns (address) {
        if (index >= uint8At(table)) revert MalformedProgram(table);
        unchecked {
            return address(uint160(word(table + 1 + 20 * index) >> 96));
        }
    }

    /// @notice Return the address whose index is the byte at `pos`.
    function addressAt(Frame memory frame, uint256 pos) internal pure returns (address) {
        return entry(frame.table, uint8At(pos));
    }

    /// @notice Return the operand at `pos`, and where the next thing begins.
    function operand(Frame memory frame, uint256 pos)
        internal
        view
        returns (uint256 value, uint256 next)
    {
        unchecked {
            uint256 tag = uint8At(pos);
            next = pos + 1;
            if (tag <= 0x20) {
                value = tag == 0 ? 0 : word(next) >> (256 - 8 * tag);
                next += tag;
            } else if (tag == OWED) {
                value = _owed(frame);
            } else if (tag == SELF) {
                value = uint160(address(this));
            } else if (tag == NATIVE) {
                value = address(this).balance;
            } else if (tag >= 0xc0 || tag < 0x40) {
                revert MalformedProgram(pos);
            } else {
                address item = entry(frame.table, tag & 0x3f);
                value = tag < 0x80 ? uint160(item) : Tokens.balanceOf(item, address(this));
            }
        }
    }

    /// @notice Assemble the calldata of a call: selector, count of parts, parts.
    /// @dev A part is an operand, which fills one word, or `RAW`, a 16-bit size and that many bytes.
    function callData(Frame memory frame, uint256 pos, uint256 end)
        internal
        view
        returns (bytes memory data, uint256 next)
    {
        if (end < pos + 5) revert MalformedProgram(pos);
        uint256 parts = uint8At(pos + 4);
        unchecked {
            data = new bytes(4 + 32 * parts + (end - pos));
            uint256 start;
            assembly ("memory-safe") {
                start := add(data, 0x20)
                calldatacopy(start, pos, 4)
            }
            uint256 to = start + 4;
            next = pos + 5;
            for (; parts != 0; --parts) {
                if (next >= end) revert MalformedProgram(next);
                (to, next) = uint8At(next) == RAW ? _raw(to, next, end) : _one(frame, to, next);
            }
            assembly ("memory-safe") {
                mstore(data, sub(to, start))
            }
        }
    }

    function _owed(Frame memory frame) private view returns (uint256) {
        if (frame.due == 0) return 0;
        uint256 held = Tokens.balanceOf(frame.token, address(this));
        unchecked {
            return held < frame.due ? frame.due - held : 0;
        }
    }

    function _one(Frame memory frame, uint256 to, uint256 pos)
        private
        view
        returns (uint256, uint256)
    {
        (uint256 value, uint256 next) = operand(frame, pos);
        assembly ("memory-safe") {
            mstore(to, value)
        }
        unchecked {
            return (to + 32, next);
        }
    }

    function _raw(uint256 to, uint256 pos, uint256 end) private pure returns (uint256, uint256) {
        unchecked {
            uint256 size = uint16At(pos + 1);
            if (pos + 3 + size > end) revert MalformedProgram(pos);
            assembly ("memory-safe") {
                calldatacopy(to, add(pos, 3), size)
            }
            return (to + size, pos + 3 + size);
        }
    }
}
