"""A transformer that runs: tokenizer, forward pass, caches, sampling, perplexity."""
