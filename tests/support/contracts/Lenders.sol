// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Mover, Token} from "./Tokens.sol";

interface IBorrower {
    function executeOperation(address, uint256, uint256, address, bytes calldata)
        external
        returns (bool);
    function uniswapV3SwapCallback(int256, int256, bytes calldata) external;
}

/// @notice Lends like Aave's `flashLoanSimple`, at a tenth of a percent, and misbehaves as told.
contract HostileLender is Mover {
    enum Mode {
        Honest,
        OtherInitiator,
        OtherAsset,
        OtherAmount,
        Forged, // hands other bytes to the callback
        Twice,
        Silent, // lends and never calls back
        Forgiving, // does not take the money back, hoping for the allowance to stay
        Usurer, // asks for twice the loan
        Disguised // calls back as a pool would
    }

    Mode public mode;

    function behave(Mode mode_) external {
        mode = mode_;
    }

    function flashLoanSimple(
        address receiver,
        address asset,
        uint256 amount,
        bytes calldata params,
        uint16
    ) external {
        _send(asset, receiver, amount);
        if (mode == Mode.Silent) return;
        uint256 premium = mode == Mode.Usurer ? amount : amount / 1000;
        address initiator = mode == Mode.OtherInitiator ? address(this) : msg.sender;
        address named = mode == Mode.OtherAsset ? address(this) : asset;
        uint256 lent = mode == Mode.OtherAmount ? amount - 1 : amount;
        bytes memory data = mode == Mode.Forged ? abi.encodePacked(params, uint8(0)) : params;
        if (mode == Mode.Disguised) {
            IBorrower(receiver).uniswapV3SwapCallback(int256(amount), -1, data);
        }
        IBorrower(receiver).executeOperation(named, lent, premium, initiator, data);
        if (mode == Mode.Twice) {
            IBorrower(receiver).executeOperation(named, lent, premium, initiator, data);
        }
        if (mode == Mode.Forgiving) return;
        _collect(asset, receiver, amount + premium);
    }
}

interface ICallbacks is IBorrower {
    function uniswapV3FlashCallback(uint256, uint256, bytes calldata) external;
    function receiveFlashLoan(
        address[] calldata,
        uint256[] calldata,
        uint256[] calldata,
        bytes calldata
    ) external;
    function onFlashLoan(address, address, uint256, uint256, bytes calldata)
        external
        returns (bytes32);
}

/// @notice Lends as a Uniswap V3 pool, a Balancer V2 vault and an ERC-3156 lender do, each by its own
/// function and with its own checks, at a tenth of a percent, and misbehaves as told.
contract HostileSource is Mover {
    enum Mode {
        Honest,
        OtherInitiator,
        OtherAsset,
        OtherAmount,
        Forged, // hands other bytes to the callback
        Twice,
        Silent, // lends and never calls back
        Forgiving, // does not see to its repayment, hoping for the allowance to stay
        Usurer, // asks for twice the loan
        Disguised, // calls back by another lender's name
        Relayed // lets another contract call back
    }

    Mode public mode;
    address public token0;
    HostileSource public relay;

    function behave(Mode mode_, HostileSource relay_) external {
        mode = mode_;
        relay = relay_;
    }

    function sort(address token0_) external {
        token0 = token0_;
    }

    /// @dev Uniswap V3.
    function flash(address to, uint256 amount0, uint256 amount1, bytes calldata data) external {
        address asset = amount0 != 0 ? token0 : address(bytes20(data[:20]));
        uint256 amount = amount0 + amount1;
        uint256 before = _held(asset);
        _send(asset, to, amount);
        uint256 fee = _fee(amount);
        bytes memory given = _given(data);
        for (uint256 i = _times(); i != 0; --i) {
            _callPool(to, amount0 != 0 ? fee : 0, amount0 != 0 ? 0 : fee, given);
        }
        require(mode == Mode.Forgiving || _held(asset) >= before + fee, "F0");
    }

    /// @dev Balancer V2.
    function flashLoan(
        address to,
        address[] calldata tokens,
        uint256[] calldata amounts,
        bytes calldata data
    ) external {
        uint256 before = _held(tokens[0]);
        _send(tokens[0], to, amounts[0]);
        uint256[] memory fees = new uint256[](1);
        fees[0] = _fee(amounts[0]);
        address[] memory named = tokens;
        if (mode == Mode.OtherAsset) named[0] = address(this);
        if (mode == Mode.OtherInitiator) named = new address[](2);
        uint256[] memory lent = amounts;
        if (mode == Mode.OtherAmount) --lent[0];
        bytes memory given = _given(data);
        for (uint256 i = _times(); i != 0; --i) {
            if (mode == Mode.Disguised) _callPool(to, 0, 0, given);
            else if (mode == Mode.Relayed) relay.passVault(to, named, lent, fees, given);
            else ICallbacks(to).receiveFlashLoan(named, lent, fees, given);
        }
        require(mode == Mode.Forgiving || _held(tokens[0]) >= before + fees[0], "BAL#515");
    }

    /// @dev ERC-3156.
    function flashLoan(address to, address asset, uint256 amount, bytes calldata data)
        external
        returns (bool)
    {
        _send(asset, to, amount);
        uint256 fee = _fee(amount);
        bytes memory given = _given(data);
        for (uint256 i = _times(); i != 0; --i) {
            address named = mode == Mode.OtherAsset ? address(this) : asset;
            uint256 lent = mode == Mode.OtherAmount ? amount - 1 : amount;
            _callStandard(to, named, lent, fee, given);
        }
        if (mode != Mode.Forgiving && mode != Mode.Silent) _collect(asset, to, amount + fee);
        return true;
    }

    function passPool(address to, uint256 fee0, uint256 fee1, bytes calldata data) external {
        ICallbacks(to).uniswapV3FlashCallback(fee0, fee1, data);
    }

    function passVault(
        address to,
        address[] calldata tokens,
        uint256[] calldata amounts,
        uint256[] calldata fees,
        bytes calldata data
    ) external {
        ICallbacks(to).receiveFlashLoan(tokens, amounts, fees, data);
    }

    function passStandard(
        address to,
        address initiator,
        address asset,
        uint256 amount,
        bytes calldata data
    ) external {
        ICallbacks(to).onFlashLoan(initiator, asset, amount, 0, data);
    }

    function _callPool(address to, uint256 fee0, uint256 fee1, bytes memory data) private {
        if (mode == Mode.Relayed) relay.passPool(to, fee0, fee1, data);
        else if (mode == Mode.Disguised) IBorrower(to).uniswapV3SwapCallback(1, -1, data);
        else ICallbacks(to).uniswapV3FlashCallback(fee0, fee1, data);
    }

    function _callStandard(
        address to,
        address asset,
        uint256 amount,
        uint256 fee,
        bytes memory data
    ) private {
        address initiator = mode == Mode.OtherInitiator ? address(this) : to;
        if (mode == Mode.Relayed) {
            relay.passStandard(to, initiator, asset, amount, data);
        } else if (mode == Mode.Disguised) {
            ICallbacks(to).executeOperation(asset, amount, fee, initiator, data);
        } else {
            ICallbacks(to).onFlashLoan(initiator, asset, amount, fee, data);
        }
    }

    function _given(bytes calldata data) private view returns (bytes memory) {
        return mode == Mode.Forged ? abi.encodePacked(data, uint8(0)) : data;
    }

    function _fee(uint256 amount) private view returns (uint256) {
        return mode == Mode.Usurer ? amount : amount / 1000;
    }

    function _times() private view returns (uint256) {
        if (mode == Mode.Silent) return 0;
        return mode == Mode.Twice ? 2 : 1;
    }

    function _held(address asset) private view returns (uint256) {
        return Token(asset).balanceOf(address(this));
    }
}

/// @notice Lets anybody do anything at a Balancer V2 vault.
contract Permissive {
    function canPerform(bytes32, address, address) external pure returns (bool) {
        return true;
    }
}
