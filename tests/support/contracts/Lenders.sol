// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Mover} from "./Tokens.sol";

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
