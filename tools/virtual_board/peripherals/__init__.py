"""Register models of the STM32F4's peripherals, one class a file."""
