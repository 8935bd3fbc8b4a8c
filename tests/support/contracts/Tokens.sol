// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice An ordinary ERC-20 that anybody may mint, with a hook for the odd ones below.
contract Token {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external virtual returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external virtual returns (bool) {
        allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice Moves tokens whether or not they return anything.
abstract contract Mover {
    function _send(address token, address to, uint256 amount) internal {
        _do(token, abi.encodeCall(Token.transfer, (to, amount)));
    }

    function _collect(address token, address from, uint256 amount) internal {
        _do(token, abi.encodeCall(Token.transferFrom, (from, address(this), amount)));
    }

    function _do(address token, bytes memory data) private {
        (bool ok, bytes memory answer) = token.call(data);
        if (!ok) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
        require(answer.length == 0 || answer[31] == 0x01, "token said no");
    }
}

/// @notice Like USDT: nothing is returned, and an allowance is only set from or to zero.
contract SilentToken {
    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external {
        require(amount == 0 || allowance[msg.sender][spender] == 0, "allowance is not zero");
        allowance[msg.sender][spender] = amount;
    }

    function transfer(address to, uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        balanceOf[to] += amount;
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice Says `false` instead of reverting, and moves nothing, when sent from `refused`.
contract FalseToken is Token {
    address public refused;

    function refuse(address from) external {
        refused = from;
    }

    function transfer(address to, uint256 amount) external override returns (bool) {
        if (msg.sender == refused) return false;
        _move(msg.sender, to, amount);
        return true;
    }
}

/// @notice Says `false` to every approval.
contract UnapprovableToken is Token {
    function approve(address, uint256) external pure override returns (bool) {
        return false;
    }
}

/// @notice Takes `feeBps` of every transfer.
contract FeeToken is Token {
    uint256 public feeBps;

    function setFee(uint256 bps) external {
        feeBps = bps;
    }

    function _move(address from, address to, uint256 amount) internal override {
        balanceOf[from] -= amount;
        balanceOf[to] += amount - amount * feeBps / 10_000;
    }
}

/// @notice Answers transfers with 100 kB of ones.
contract VerboseToken is Token {
    function transfer(address to, uint256 amount) external override returns (bool) {
        _move(msg.sender, to, amount);
        assembly {
            mstore(0, 1)
            return(0, 100000)
        }
    }
}

/// @notice Calls `target` with `attack` on each transfer, as a hook would, and keeps the answer.
contract ReentrantToken is Token {
    address public target;
    bytes public attack;
    bool public insist;
    uint256 public attempts;
    uint256 public successes;
    bytes public lastAnswer;

    /// @param insist_ revert with the attack's own reason when it fails
    function arm(address target_, bytes calldata attack_, bool insist_) external {
        (target, attack, insist) = (target_, attack_, insist_);
    }

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        if (target == address(0)) return;
        ++attempts;
        (bool ok, bytes memory answer) = target.call(attack);
        if (ok) ++successes;
        lastAnswer = answer;
        if (!ok && insist) {
            assembly {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}

/// @notice Like WETH9.
contract WrappedNative is Token {
    function deposit() external payable {
        balanceOf[msg.sender] += msg.value;
    }

    function withdraw(uint256 amount) external {
        balanceOf[msg.sender] -= amount;
        (bool ok,) = msg.sender.call{value: amount}("");
        require(ok, "refused");
    }
}
