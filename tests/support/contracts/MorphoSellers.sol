// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Mover} from "./Tokens.sol";

interface ILatePayer {
    function onMorphoFlashLoan(uint256, bytes calldata) external;
    function onMorphoLiquidate(uint256, bytes calldata) external;
    function onPreLiquidate(uint256, bytes calldata) external;
    function uniswapV3SwapCallback(int256, int256, bytes calldata) external;
}

/// @notice Hands over two for one and is paid after its callback, as Morpho's liquidation is; lends
/// as Morpho does; and misbehaves as told.
contract HostileSeller is Mover {
    enum Mode {
        Honest,
        Early, // calls back by the name of early liquidation
        Greedy, // says that twice as much is due
        Forged, // hands other bytes to the callback
        Twice,
        Silent, // hands over and never calls back
        Forgiving, // does not take its pay, hoping for the allowance to stay
        Taker, // takes more than it said is due
        Disguised, // calls back as a pool would
        Relayed // lets another contract call back
    }

    Mode public mode;
    HostileSeller public relay;

    function behave(Mode mode_, HostileSeller relay_) external {
        mode = mode_;
        relay = relay_;
    }

    function sell(address debt, uint256 amount, address collateral, bytes calldata data) external {
        _send(collateral, msg.sender, 2 * amount);
        if (mode == Mode.Silent) return;
        uint256 due = mode == Mode.Greedy ? 2 * amount : amount;
        bytes memory given = mode == Mode.Forged ? abi.encodePacked(data, uint8(0)) : data;
        if (mode == Mode.Disguised) {
            ILatePayer(msg.sender).uniswapV3SwapCallback(int256(due), -1, given);
        } else if (mode == Mode.Relayed) {
            relay.pass(msg.sender, due, given);
        } else if (mode == Mode.Early) {
            ILatePayer(msg.sender).onPreLiquidate(due, given);
        } else {
            ILatePayer(msg.sender).onMorphoLiquidate(due, given);
        }
        if (mode == Mode.Twice) ILatePayer(msg.sender).onMorphoLiquidate(due, given);
        if (mode == Mode.Forgiving) return;
        _collect(debt, msg.sender, mode == Mode.Taker ? due + 1 : due);
    }

    function flashLoan(address token, uint256 amount, bytes calldata data) external {
        _send(token, msg.sender, amount);
        ILatePayer(msg.sender).onMorphoFlashLoan(amount, data);
        _collect(token, msg.sender, amount);
    }

    function pass(address payer, uint256 due, bytes calldata data) external {
        ILatePayer(payer).onMorphoLiquidate(due, data);
    }
}
