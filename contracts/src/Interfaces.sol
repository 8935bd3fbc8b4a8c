// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

interface IERC20 {
    function allowance(address owner, address spender) external view returns (uint256);
    function approve(address spender, uint256 amount) external returns (bool);
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

interface IWrappedNative {
    function withdraw(uint256 amount) external;
}

/// @dev Aave V3 `IPool`, and every fork that keeps its `flashLoanSimple`.
interface IFlashLender {
    function flashLoanSimple(
        address receiver,
        address asset,
        uint256 amount,
        bytes calldata params,
        uint16 referralCode
    ) external;
}

/// @dev Aave V3 `IFlashLoanSimpleReceiver`.
interface IFlashBorrower {
    function executeOperation(
        address asset,
        uint256 amount,
        uint256 premium,
        address initiator,
        bytes calldata params
    ) external returns (bool);
}

/// @dev Uniswap V3 `IUniswapV3PoolActions.flash`, and the order of the pool's tokens.
interface IFlashPool {
    function flash(address recipient, uint256 amount0, uint256 amount1, bytes calldata data)
        external;
    function token0() external view returns (address);
}

/// @dev Uniswap V3 `IUniswapV3FlashCallback`.
interface IFlashPoolBorrower {
    function uniswapV3FlashCallback(uint256 fee0, uint256 fee1, bytes calldata data) external;
}

/// @dev Balancer V2 `IVault`.
interface IFlashVault {
    function flashLoan(
        address recipient,
        address[] calldata tokens,
        uint256[] calldata amounts,
        bytes calldata userData
    ) external;
}

/// @dev Balancer V2 `IFlashLoanRecipient`.
interface IFlashVaultBorrower {
    function receiveFlashLoan(
        address[] calldata tokens,
        uint256[] calldata amounts,
        uint256[] calldata feeAmounts,
        bytes calldata userData
    ) external;
}

/// @dev ERC-3156 `IERC3156FlashLender`: mints of DAI and GHO, and our own `Inventory`.
interface IStandardLender {
    function maxFlashLoan(address token) external view returns (uint256);
    function flashFee(address token, uint256 amount) external view returns (uint256);
    function flashLoan(address receiver, address token, uint256 amount, bytes calldata data)
        external
        returns (bool);
}

/// @dev ERC-3156 `IERC3156FlashBorrower`.
interface IStandardBorrower {
    function onFlashLoan(
        address initiator,
        address token,
        uint256 amount,
        uint256 fee,
        bytes calldata data
    ) external returns (bytes32);
}

/// @dev The callbacks of lenders that hand over first and then ask for what is due: Morpho Blue's
/// `IMorphoFlashLoanCallback` and `IMorphoLiquidateCallback`, and its `IPreLiquidationCallback`.
interface ILatePayer {
    function onMorphoFlashLoan(uint256 assets, bytes calldata data) external;
    function onMorphoLiquidate(uint256 repaidAssets, bytes calldata data) external;
    function onPreLiquidate(uint256 repaidAssets, bytes calldata data) external;
}

/// @dev Uniswap V3 `IUniswapV3PoolActions.swap`.
interface ISwapPool {
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata data
    ) external returns (int256 amount0, int256 amount1);
}

/// @dev Uniswap V3 `IUniswapV3SwapCallback`.
interface ISwapPayer {
    function uniswapV3SwapCallback(int256 amount0Delta, int256 amount1Delta, bytes calldata data)
        external;
}

/// @dev Uniswap V2 `IUniswapV2Pair`, and the forks that keep it.
interface IPair {
    function getReserves() external view returns (uint112 reserve0, uint112 reserve1, uint32 since);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}
