//! Searching item embeddings, and measuring what was found.
