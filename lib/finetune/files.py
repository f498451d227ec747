"""Names of the files in the folder of a fine-tuned model."""

METHOD_FILE = "method.json"  # how the model was trained, for every method
ADAPTER_CONFIG = "adapter_config.json"  # LoRA adapters alone: their configuration in PEFT's format
ADAPTER_WEIGHTS = "adapter_model.safetensors"  # LoRA adapters alone: their weights in PEFT's format
TRAINED_WEIGHTS = "trained.safetensors"  # all other methods: the trained weights by parameter name
