// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

interface IFeed {
    function latestAnswer() external view returns (int256);
}

/// The form of Aave's capped adapters: another feed times a ratio that moves without an event.
contract RatioAdapter {
    address public immutable BASE_TO_USD_AGGREGATOR;
    uint256 public ratio = 1e18;
    uint256 public cap = type(uint256).max;

    constructor(address base) {
        BASE_TO_USD_AGGREGATOR = base;
    }

    function setRatio(uint256 ratio_) external {
        ratio = ratio_;
    }

    function setCap(uint256 cap_) external {
        cap = cap_;
    }

    function latestAnswer() external view returns (int256) {
        uint256 used = ratio < cap ? ratio : cap;
        return IFeed(BASE_TO_USD_AGGREGATOR).latestAnswer() * int256(used) / 1e18;
    }
}

/// The same, with a ratio that grows by the second, as that of staked dollars does.
contract GrowingAdapter {
    address public immutable BASE_TO_USD_AGGREGATOR;
    uint256 private constant RATE = 3e9;
    uint256 private immutable start = block.timestamp;

    constructor(address base) {
        BASE_TO_USD_AGGREGATOR = base;
    }

    function latestAnswer() external view returns (int256) {
        uint256 ratio = 1e18 + RATE * (block.timestamp - start);
        return IFeed(BASE_TO_USD_AGGREGATOR).latestAnswer() * int256(ratio) / 1e18;
    }
}

/// The form of Aave's cap on a dollar: what another feed answers, and never more than that.
contract CappedDollar {
    address public immutable ASSET_TO_USD_AGGREGATOR;
    int256 private immutable cap;

    constructor(address asset, int256 cap_) {
        ASSET_TO_USD_AGGREGATOR = asset;
        cap = cap_;
    }

    function latestAnswer() external view returns (int256) {
        int256 answer = IFeed(ASSET_TO_USD_AGGREGATOR).latestAnswer();
        return answer < cap ? answer : cap;
    }
}

/// The form of Aave's price of what is pegged to ether: two feeds multiplied.
contract PeggedAdapter {
    address public immutable ASSET_TO_PEG;
    address public immutable PEG_TO_BASE;

    constructor(address asset, address peg) {
        ASSET_TO_PEG = asset;
        PEG_TO_BASE = peg;
    }

    function latestAnswer() external view returns (int256) {
        return IFeed(ASSET_TO_PEG).latestAnswer() * IFeed(PEG_TO_BASE).latestAnswer() / 1e8;
    }
}

/// A feed of a staked token's ratio, at 1e8: it grows by the second, and no event says so.
contract GrowingFeed {
    uint256 private constant RATE = 1e3;
    uint256 private immutable start = block.timestamp;
    uint8 public constant decimals = 8;

    function latestAnswer() public view returns (int256) {
        return int256(1e8 + RATE * (block.timestamp - start));
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (1, latestAnswer(), block.timestamp, block.timestamp, 1);
    }
}

/// A price that somebody sets: fixed, zero, negative or reverting, with no round and no event.
contract SetPrice {
    int256 private price;
    bool private reverts;

    constructor(int256 price_) {
        price = price_;
    }

    function set(int256 price_, bool reverts_) external {
        price = price_;
        reverts = reverts_;
    }

    function latestAnswer() external view returns (int256) {
        require(!reverts, "feed is down");
        return price;
    }
}

/// The two faces of Chainlink's DualAggregator 1.0.0, without its reports and signatures: the
/// secondary proxy sees a new answer when it is published to it, or after the cut-off.
contract TwoFacedAggregator {
    string public constant typeAndVersion = "DualAggregator 1.0.0";
    uint8 public constant decimals = 8;
    address internal immutable secondaryProxy;
    uint256 internal immutable cutoff;

    struct Transmission {
        int256 answer;
        uint256 time;
    }

    Transmission[] internal rounds;
    uint256 internal latestSecondary;

    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    constructor(address secondaryProxy_, uint256 cutoff_, int256 answer) {
        secondaryProxy = secondaryProxy_;
        cutoff = cutoff_;
        rounds.push(Transmission(answer, block.timestamp));
    }

    function publish(int256 answer) external {
        rounds.push(Transmission(answer, block.timestamp));
        emit AnswerUpdated(answer, rounds.length, block.timestamp);
    }

    function publishToSecondary() external {
        latestSecondary = rounds.length - 1;
    }

    function seen() internal view returns (uint256 round) {
        round = rounds.length - 1;
        if (msg.sender == secondaryProxy) {
            while (round > latestSecondary && rounds[round].time + cutoff >= block.timestamp) round--;
        }
    }

    function latestAnswer() external view returns (int256) {
        return rounds[seen()].answer;
    }

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        uint256 round = seen();
        Transmission memory found = rounds[round];
        return (uint80(round + 1), found.answer, found.time, found.time, uint80(round + 1));
    }
}

/// Passes a transmission on, as the contracts of Chainlink's nodes do.
contract Forwarder {
    function forward(address to, bytes calldata data) external {
        (bool done,) = to.call(data);
        require(done, "forwarded call failed");
    }
}
