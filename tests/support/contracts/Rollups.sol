// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @notice Stands for Arbitrum's precompile ArbGasInfo, which is part of its node and cannot be had as
/// a contract: the function's name and the order of its answers are those of Offchain Labs' interface.
contract ArbGasInfoOfOurs {
    uint256 public perByte;
    uint256 public perGas;

    function set(uint256 perByte_, uint256 perGas_) external {
        perByte = perByte_;
        perGas = perGas_;
    }

    /// @return per L2 transaction, L1 calldata byte, storage, ArbGas base, congestion and total
    function getPricesInWei()
        external
        view
        returns (uint256, uint256, uint256, uint256, uint256, uint256)
    {
        return (perByte * 140, perByte, perGas * 20_000, perGas, 0, perGas);
    }
}
