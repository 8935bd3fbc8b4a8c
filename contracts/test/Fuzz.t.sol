// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {HostileLender, HostileSource} from "stand-ins/Lenders.sol";
import {HostileSeller} from "stand-ins/MorphoSellers.sol";
import {HostilePool} from "stand-ins/Pools.sol";
import {Token} from "stand-ins/Tokens.sol";
import {ILiquidator, Market, Shape} from "./Market.sol";
import {Pair} from "./Pair.sol";

/// @title What holds for any input of one call
contract FuzzTest is Market {
    function setUp() public {
        build();
    }

    function shaped(uint256 seed) internal pure returns (Shape memory) {
        return Shape({
            amount: within(seed >> 8, 100, 1e18),
            funding: uint8(within(seed, 0, 5)),
            route: uint8(within(seed >> 3, 0, 3)),
            calls: uint8(within(seed >> 5, 1, 3)),
            minProfit: 0,
            tip: 0
        });
    }

    function testFuzz_every_shape_pays_off_and_leaves_nothing(uint256 seed) public {
        Shape memory shape = shaped(seed);
        (bool ok, bytes memory answer) = run(OPERATOR, 0, program(shape));
        require(ok, "a well-formed program failed");
        uint256 profit = abi.decode(answer, (uint256));
        require(profit != 0 && held(COLLATERAL, RECIPIENT) == profit, "profit is not what came");
        requireNothingHeld();
        requireNoAllowance();
    }

    function testFuzz_the_minimum_is_met_or_nothing_happens(uint256 seed, uint256 over) public {
        Shape memory shape = shaped(seed);
        (, bytes memory answer) = run(OPERATOR, 0, program(shape));
        uint256 profit = abi.decode(answer, (uint256));
        // The pair has moved; the one-to-one pools and what they leave have not.
        shape.route = 0;
        shape.minProfit = within(over, 0, 2 * profit);
        uint256 before = held(COLLATERAL, RECIPIENT);
        (bool ok, bytes memory said) = run(OPERATOR, 0, program(shape));
        uint256 gained = held(COLLATERAL, RECIPIENT) - before;
        if (ok) require(gained >= shape.minProfit, "paid less than the minimum");
        else require(gained == 0 && said.length == 68, "a refusal left something behind");
        uint256 fee = shape.funding < 4 ? shape.amount / 1000 : 0;
        require(ok == (shape.amount - fee >= shape.minProfit), "the minimum is not exact");
    }

    function testFuzz_only_operators_run(address caller, uint256 seed) public {
        if (caller == OPERATOR) return;
        (bool ok,) = run(caller, 0, program(shaped(seed)));
        require(!ok && held(COLLATERAL, RECIPIENT) == 0, "somebody else ran a program");
    }

    function testFuzz_only_the_owner_governs(address caller, uint8 which, address named) public {
        if (caller == OWNER) return;
        bytes[7] memory calls = [
            abi.encodeCall(ILiquidator.addOperator, (named)),
            abi.encodeCall(ILiquidator.removeOperator, (OPERATOR)),
            abi.encodeCall(ILiquidator.disarm, ()),
            abi.encodeCall(ILiquidator.setRecipient, (named)),
            abi.encodeCall(ILiquidator.transferOwnership, (named)),
            abi.encodeCall(ILiquidator.acceptOwnership, ()),
            abi.encodeCall(ILiquidator.rescue, (address(0), named, 0))
        ];
        (bool ok,) = run(caller, 0, calls[which % 7]);
        require(!ok && executor.isOperator(OPERATOR), "somebody else governed");
    }

    function testFuzz_no_callback_outside_a_program(address caller, uint8 which, bytes memory data)
        public
    {
        (bool ok,) = run(caller, 0, callback(which, 1e6, data));
        require(!ok, "a callback was accepted");
    }

    /// A stranger, or the right contract after the program: the very bytes that were good within it.
    function testFuzz_no_callback_is_good_again(uint256 seed, address caller, bool stranger) public {
        Shape memory shape = shaped(seed);
        (bool ok,) = run(OPERATOR, 0, program(shape));
        require(ok, "a well-formed program failed");
        for (uint256 i = 0; i < TOKENS; ++i) {
            tokens[i].mint(address(executor), 1e20);
        }
        (address callee, bytes memory data) = replayed(shape);
        (ok,) = run(stranger ? caller : callee, 0, data);
        require(!ok && held(DEBT, address(executor)) == 1e20, "a callback was replayed");
    }

    function testFuzz_a_hostile_counterparty_gains_nothing(uint256 seed, uint8 mode) public {
        Shape memory shape = shaped(seed);
        shape.minProfit = shape.amount / 2;
        lender.behave(HostileLender.Mode(mode % 10));
        source.behave(HostileSource.Mode(mode % 11), source);
        seller.behave(HostileSeller.Mode(mode % 10), seller);
        pool.behave(HostilePool.Mode(mode % 10));
        (bool ok,) = run(OPERATOR, 0, program(shape));
        require(!ok || held(COLLATERAL, RECIPIENT) >= shape.minProfit, "the minimum was not kept");
        requireNothingHeld();
        requireNoAllowance();
    }

    function testFuzz_bytes_at_random_move_nothing(bytes memory tail, uint128 spare) public {
        tokens[DEBT].mint(address(executor), spare);
        (bool ok,) = run(OPERATOR, 0, bytes.concat(ILiquidator.execute.selector, tail));
        require(!ok && held(DEBT, address(executor)) == spare, "noise moved something");
    }

    function testFuzz_a_program_cut_short_moves_nothing(uint256 seed, uint256 size) public {
        // Cut before the first step it would be a program that does nothing, and may if it need not
        // earn anything.
        Shape memory shape = shaped(seed);
        shape.minProfit = 1;
        bytes memory data = program(shape);
        size = within(size, 4, data.length - 1);
        assembly {
            mstore(data, size)
        }
        tokens[DEBT].mint(address(executor), 1e6);
        (bool ok,) = run(OPERATOR, 0, data);
        require(!ok && held(DEBT, address(executor)) == 1e6, "half a program moved something");
    }

    /// Whatever a changed byte makes of it: nobody's allowance stays, and the recipient never loses.
    function testFuzz_a_program_with_a_changed_byte_costs_the_recipient_nothing(
        uint256 seed,
        uint256 place,
        uint8 value
    ) public {
        for (uint256 i = 0; i < TOKENS; ++i) {
            tokens[i].mint(RECIPIENT, 1e18);
        }
        bytes memory data = program(shaped(seed));
        data[within(place, 4, data.length - 1)] = bytes1(value);
        run(OPERATOR, 0, data);
        for (uint256 i = 0; i < TOKENS; ++i) {
            require(held(i, RECIPIENT) >= 1e18, "the recipient lost");
        }
        requireNoAllowance();
        require(address(executor).balance == 0, "native coin left");
    }

    function testFuzz_the_tip_is_what_the_program_says(uint96 tip, uint96 value, uint256 seed)
        public
    {
        Shape memory shape = shaped(seed);
        shape.tip = tip;
        uint256 purse = OPERATOR.balance;
        (bool ok,) = run(OPERATOR, value, program(shape));
        require(ok == (tip <= value), "a tip that nothing pays for");
        require(PROPOSER.balance == (ok ? tip : 0), "the proposer got something else");
        require(OPERATOR.balance == purse + value - PROPOSER.balance, "the rest is not back");
    }

    /// Priced with the least that the pair accepts: a unit less fails its own check.
    function testFuzz_a_pair_is_paid_no_more_than_it_asks(
        uint256 a,
        uint256 b,
        uint256 out,
        uint256 fee
    ) public {
        Pair made = pairOf(within(a, 1e3, 1e30), within(b, 1e3, 1e30), within(fee, 0, 50_000));
        (uint256 reserveIn, uint256 reserveOut) = reservesOf(made);
        uint256 keep = 1e6 - made.fee();
        out = within(out, 1, reserveOut / 2);
        uint256 paid = reserveIn * out * 1e6 / ((reserveOut - out) * keep) + 1;
        tokens[COLLATERAL].mint(address(executor), paid);
        (bool ok,) = run(OPERATOR, 0, alone(made, number(out), number(paid)));
        require(ok && held(DEBT, RECIPIENT) == out, "the exact purchase failed");
        require(held(COLLATERAL, RECIPIENT) == 0, "something was left of the price");
        // Uniswap's router adds one even where the quotient is exact, so two less is too little.
        (reserveIn, reserveOut) = reservesOf(made);
        out = within(out, 1, reserveOut / 2);
        paid = reserveIn * out * 1e6 / ((reserveOut - out) * keep) + 1;
        if (paid < 3) return;
        tokens[COLLATERAL].mint(address(made), paid - 2);
        bool first = address(tokens[COLLATERAL]) < address(tokens[DEBT]);
        try made.swap(first ? 0 : out, first ? out : 0, address(this), "") {
            revert("it was dearer than need be");
        } catch {}
    }

    /// Sold for the most that the pair gives: a unit more fails its own check.
    function testFuzz_a_pair_gives_the_most_it_can(uint256 a, uint256 b, uint256 paid, uint256 fee)
        public
    {
        Pair made = pairOf(within(a, 1e3, 1e30), within(b, 1e3, 1e30), within(fee, 0, 50_000));
        (uint256 reserveIn, uint256 reserveOut) = reservesOf(made);
        paid = within(paid, 1, reserveIn);
        uint256 counted = paid * (1e6 - made.fee());
        uint256 out = counted * reserveOut / (reserveIn * 1e6 + counted);
        tokens[COLLATERAL].mint(address(executor), paid);
        (bool ok,) = run(OPERATOR, 0, alone(made, number(paid), ""));
        require(ok && held(DEBT, RECIPIENT) == out, "the exact sale failed");
        require(held(COLLATERAL, RECIPIENT) == (out == 0 ? paid : 0), "the rest is not swept");
    }

    function pairOf(uint256 a, uint256 b, uint256 fee) private returns (Pair made) {
        made = new Pair(tokens[COLLATERAL], tokens[DEBT], fee);
        tokens[COLLATERAL].mint(address(made), a);
        tokens[DEBT].mint(address(made), b);
        made.sync();
        table[PAIR] = address(made);
    }

    function reservesOf(Pair made) private view returns (uint256, uint256) {
        (uint112 reserve0, uint112 reserve1,) = made.getReserves();
        bool first = address(tokens[COLLATERAL]) < address(tokens[DEBT]);
        return first ? (reserve0, reserve1) : (reserve1, reserve0);
    }

    /// @dev A program of one swap with a pair, which may end at a loss.
    function alone(Pair made, bytes memory amount, bytes memory limit)
        private
        view
        returns (bytes memory)
    {
        bytes memory step = pairSwap(PAIR, COLLATERAL, DEBT, amount, limit, "");
        (step[3], step[4]) = (bytes2(uint16(made.fee()))[0], bytes2(uint16(made.fee()))[1]);
        return bytes.concat(header(type(uint40).max), hex"0000ff", step);
    }

    function callback(uint8 which, uint256 amount, bytes memory data)
        private
        view
        returns (bytes memory)
    {
        address debt = address(tokens[DEBT]);
        uint8 chosen = which % 8;
        address self = address(executor);
        if (chosen == 0) {
            return abi.encodeCall(
                ILiquidator.executeOperation, (debt, amount, amount / 1000, self, data)
            );
        }
        if (chosen == 1) {
            return abi.encodeCall(ILiquidator.uniswapV3FlashCallback, (0, amount / 1000, data));
        }
        if (chosen == 2) {
            (address[] memory named, uint256[] memory one) = (new address[](1), new uint256[](1));
            (named[0], one[0]) = (debt, amount);
            return abi.encodeCall(ILiquidator.receiveFlashLoan, (named, one, one, data));
        }
        if (chosen == 3) {
            return
                abi.encodeCall(ILiquidator.onFlashLoan, (self, debt, amount, amount / 1000, data));
        }
        if (chosen == 4) {
            return abi.encodeCall(
                ILiquidator.uniswapV3SwapCallback, (int256(amount), -int256(amount), data)
            );
        }
        if (chosen == 5) return abi.encodeCall(ILiquidator.onMorphoLiquidate, (amount, data));
        if (chosen == 6) return abi.encodeCall(ILiquidator.onMorphoFlashLoan, (amount, data));
        return abi.encodeCall(ILiquidator.onPreLiquidate, (amount, data));
    }

    /// @dev The outermost callback of a program, byte for byte as its counterparty was handed it.
    function replayed(Shape memory shape)
        private
        view
        returns (address callee, bytes memory data)
    {
        address[6] memory who = [
            address(lender),
            address(source),
            address(source),
            address(source),
            address(pool),
            address(seller)
        ];
        bytes memory inner = shape.funding == 4
            ? bargains(shape)
            : shape.funding == 5
                ? repayment(shape)
                : bytes.concat(bargains(shape), repayment(shape));
        address due = address(tokens[shape.funding == 4 ? COLLATERAL : DEBT]);
        data = bytes.concat(bytes20(due), bytes32(shape.amount), entries(), inner);
        return (who[shape.funding], callback(shape.funding, shape.amount, data));
    }
}
