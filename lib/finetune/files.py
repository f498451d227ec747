"""What the folder of a fine-tuned model holds."""

CONFIGURATION = "adapter_config.json"  # of adapters in PEFT's format
DESCRIPTION = "strategy.json"  # how it was trained
TRAINED = "trained.safetensors"  # weights of other strategies
