// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Mover} from "./Tokens.sol";

/// @notice Pays out one token for another, at two to one, as a liquidation with a generous bonus.
contract Bargain is Mover {
    error TooPoor(uint256 wanted);

    bytes public lastCall;

    function take(address paid, uint256 amount, address got) external {
        lastCall = msg.data;
        if (amount == 13) revert TooPoor(amount);
        _collect(paid, msg.sender, amount);
        _send(got, msg.sender, 2 * amount);
    }

    /// @notice Fail with 100 kB of reason.
    function rant() external pure {
        assembly {
            revert(0, 100000)
        }
    }

    /// @notice Pay out twice what was sent in native coin.
    function redeem() external payable {
        (bool ok,) = msg.sender.call{value: 2 * msg.value}("");
        require(ok, "refused");
    }

    receive() external payable {}
}

/// @notice An operator that runs the program again from inside, when it is paid back.
contract HostileOperator {
    bytes public program;

    function run(address executor, bytes calldata data, uint256 value) external payable {
        program = data;
        _run(executor, value);
    }

    receive() external payable {
        _run(msg.sender, 0);
    }

    function _run(address executor, uint256 value) private {
        (bool ok, bytes memory answer) = executor.call{value: value}(program);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}

/// @notice A proposer that notes how much of a token its payer holds.
contract Snoop {
    address public immutable token;
    uint256 public paid;
    uint256 public seen;

    constructor(address token_) {
        token = token_;
    }

    receive() external payable {
        paid = msg.value;
        (, bytes memory answer) = token.staticcall(
            abi.encodeWithSignature("balanceOf(address)", msg.sender)
        );
        seen = abi.decode(answer, (uint256));
    }
}
