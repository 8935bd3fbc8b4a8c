// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {HostileLender, HostileSource} from "stand-ins/Lenders.sol";
import {HostileSeller} from "stand-ins/MorphoSellers.sol";
import {HostilePool} from "stand-ins/Pools.sol";
import {ILiquidator, Market, Shape} from "./Market.sol";

/// @title Anything that may happen to the executor, one thing after the other
/// @dev Each function of the handler catches what is to be refused and counts what it got to, so
/// that a revert that reaches forge is a mistake here.
contract Handler is Market {
    uint256 public refused;
    uint256 public hostile;
    uint256 public survived;
    uint256 public strangers;
    uint256 public callbacks;
    uint256[6] public landedBy;
    /// @notice What must never happen, counted.
    uint256 public broken;

    uint256 public promised;
    uint256 public tipped;
    uint256[3] public spare;

    address[] private keys = [OPERATOR, address(0x0a), address(0x0b), address(0x0c)];

    constructor() {
        build();
        for (uint256 i = 1; i < keys.length; ++i) {
            vm.prank(OWNER);
            executor.addOperator(keys[i]);
        }
    }

    /// @notice Run a well-formed program of every funding against honest counterparties.
    function liquidate(uint256 seed, uint96 tip) external {
        _behave(0);
        address key = keys[seed % keys.length];
        if (!executor.isOperator(key)) {
            // It was taken off: it is refused, and the one that stays takes over.
            if (_program(key, _shaped(seed))) ++broken;
            key = keys[0];
        }
        for (uint8 funding = 0; funding < 6; ++funding) {
            Shape memory shape = _shaped(seed);
            shape.funding = funding;
            shape.tip = tip;
            if (_program(key, shape)) ++landedBy[funding];
            else ++broken;
        }
    }

    /// @notice Run one that asks for more than there is to earn.
    function overreach(uint256 seed) external {
        _behave(0);
        Shape memory shape = _shaped(seed);
        shape.minProfit = 2 * shape.amount + spare[COLLATERAL] + 1;
        if (_program(keys[0], shape)) ++broken;
        ++refused;
    }

    /// @notice Run one against counterparties that misbehave.
    function meet(uint256 seed, uint8 mode) external {
        _behave(mode);
        ++hostile;
        if (_program(keys[0], _shaped(seed))) ++survived;
    }

    /// @notice Run a program with some of its bytes changed, which may make another one of it.
    function garble(uint256 seed, uint256 place, uint8 value) external {
        _behave(0);
        bytes memory data = program(_shaped(seed));
        data[within(place, 4, data.length - 1)] = bytes1(value);
        uint256[3] memory before = _paid();
        uint256 tip = PROPOSER.balance;
        (bool ok,) = run(keys[0], 0, data);
        for (uint256 i = 0; i < TOKENS; ++i) {
            if (held(i, RECIPIENT) < before[i]) ++broken;
            if (ok) spare[i] = held(i, address(executor)) < spare[i] ? 0 : spare[i];
        }
        // It may have named a tip, but nothing was sent along to pay one.
        if (PROPOSER.balance != tip) ++broken;
    }

    function intrude(address caller, uint256 seed) external {
        _behave(0);
        if (executor.isOperator(caller)) return;
        (bool ok,) = run(caller, 0, program(_shaped(seed)));
        if (ok) ++broken;
        ++strangers;
    }

    /// @notice Call back out of the blue, as anybody or as a counterparty.
    function callBack(uint256 who, uint8 which, uint96 amount, bytes calldata data) external {
        address caller = who % 2 == 0 ? table[who % ENTRIES] : address(uint160(who));
        bytes memory terms = bytes.concat(bytes20(table[DEBT]), bytes32(uint256(amount)), data);
        bytes[4] memory calls = [
            abi.encodeCall(
                ILiquidator.executeOperation, (table[DEBT], amount, 0, address(executor), terms)
            ),
            abi.encodeCall(ILiquidator.uniswapV3FlashCallback, (0, 1, terms)),
            abi.encodeCall(ILiquidator.uniswapV3SwapCallback, (int256(uint256(amount)), -1, terms)),
            abi.encodeCall(ILiquidator.onMorphoLiquidate, (amount, terms))
        ];
        (bool ok,) = run(caller, 0, calls[which % 4]);
        if (ok) ++broken;
        ++callbacks;
    }

    /// @notice Send the executor tokens that nobody asked for.
    function spill(uint256 which, uint64 amount) external {
        which %= TOKENS;
        tokens[which].mint(address(executor), amount);
        spare[which] += amount;
    }

    /// @notice Take an operator off, or on again; the first one stays.
    function rotate(uint256 which) external {
        address key = keys[within(which, 1, keys.length - 1)];
        bool on = executor.isOperator(key);
        vm.prank(OWNER);
        if (on) executor.removeOperator(key);
        else executor.addOperator(key);
    }

    /// @notice Return which kind of call was never got to, or nothing.
    function missed() external view returns (string memory) {
        for (uint256 i = 0; i < landedBy.length; ++i) {
            if (landedBy[i] == 0) return "no program of one of the fundings landed";
        }
        if (refused == 0) return "nothing was refused for its minimum";
        if (hostile == 0) return "nobody misbehaved";
        if (strangers == 0) return "no stranger tried to run a program";
        return callbacks == 0 ? "nobody called back out of the blue" : "";
    }

    function recipientHolds(uint256 token) external view returns (uint256) {
        return held(token, RECIPIENT);
    }

    function executorHolds(uint256 token) external view returns (uint256) {
        return held(token, address(executor));
    }

    function executorNative() external view returns (uint256) {
        return address(executor).balance;
    }

    function proposerHas() external view returns (uint256) {
        return PROPOSER.balance;
    }

    function checkAllowances() external view {
        requireNoAllowance();
    }

    function _program(address key, Shape memory shape) private returns (bool ok) {
        uint256 before = held(COLLATERAL, RECIPIENT);
        (ok,) = run(key, shape.tip, program(shape));
        uint256 after_ = held(COLLATERAL, RECIPIENT);
        if (after_ < before + (ok ? shape.minProfit : 0)) ++broken;
        if (!ok) return false;
        promised += shape.minProfit;
        tipped += shape.tip;
        delete spare;
    }

    function _shaped(uint256 seed) private pure returns (Shape memory shape) {
        shape.amount = within(seed >> 8, 100, 1e15);
        shape.funding = uint8(within(seed, 0, 5));
        shape.route = uint8(within(seed >> 3, 0, 3));
        shape.calls = uint8(within(seed >> 5, 1, 3));
        shape.minProfit = shape.amount / 2;
    }

    function _behave(uint8 mode) private {
        lender.behave(HostileLender.Mode(mode % 10));
        source.behave(HostileSource.Mode(mode % 11), source);
        seller.behave(HostileSeller.Mode(mode % 10), seller);
        pool.behave(HostilePool.Mode(mode % 10));
    }

    function _paid() private view returns (uint256[3] memory paid) {
        for (uint256 i = 0; i < TOKENS; ++i) {
            paid[i] = held(i, RECIPIENT);
        }
    }
}

/// @title What holds after any sequence
contract InvariantTest {
    Handler private handler;

    function setUp() public {
        handler = new Handler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    /// @dev One campaign for all: each invariant of its own would have one of its own.
    function invariant_nothing_stays_and_everybody_gets_what_was_promised() public view {
        require(handler.broken() == 0, "what must not happen did");
        for (uint256 i = 0; i < 3; ++i) {
            require(handler.executorHolds(i) <= handler.spare(i), "it holds more than was spilled");
        }
        require(handler.executorNative() == 0, "it holds native coin");
        handler.checkAllowances();
        require(handler.recipientHolds(0) >= handler.promised(), "less than was promised");
        require(handler.proposerHas() == handler.tipped(), "more than the tips, or less");
    }

    /// @dev Tried and refused, and tried and landed: a campaign that gets nowhere proves nothing.
    function afterInvariant() public view {
        string memory missed = handler.missed();
        require(bytes(missed).length == 0, missed);
    }
}
