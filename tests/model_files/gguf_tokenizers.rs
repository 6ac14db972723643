//! Tokenizers out of GGUF metadata.

use lrem::model::ModelSource;
use lrem::text::Tokenizer;

use crate::gguf::{SetTokenizer, byte_level, convert, sentence_piece, write};

fn tokenizer(set_tokenizer: SetTokenizer) -> Tokenizer {
    let (_folder, path) = write(&convert("llama-tied", set_tokenizer).0);
    ModelSource::open(&path).unwrap().tokenizer().unwrap()
}

/// Ids: a = 3, 0 = 29, Ġ = 39, Ġa = 40, ab = 41, Ġab = 42, 12 = 43, Ġ1 = 44, ĠĠ = 45.
#[test]
fn byte_level_tokenizers_cut_as_their_kind_says() {
    let cases: [(&str, &str, &[u32]); 9] = [
        ("smollm", "ab ab 12", &[41, 42, 39, 30, 31]),
        ("smollm", "a  1", &[3, 45, 30]),
        ("smollm", "a  b", &[3, 39, 39, 4]),
        ("smollm", "<|im_start|>ab<|im_end|>", &[1, 41, 2]),
        ("smollm", "", &[]),
        ("gpt-2", "ab 12", &[41, 39, 43]),
        ("qwen2", "ab 12", &[41, 39, 30, 31]),
        ("llama-bpe", "ab 12", &[41, 39, 43]),
        ("llama-bpe", "a  1", &[3, 39, 39, 30]),
    ];
    for (pre, text, ids) in cases {
        let tokenizer = tokenizer(&byte_level(pre));
        assert_eq!(tokenizer.encode(text).unwrap(), ids, "{pre} {text:?}");
        assert_eq!(tokenizer.decode(ids).unwrap(), text, "{pre}");
    }
    let smollm = tokenizer(&byte_level("smollm"));
    assert_eq!(
        (smollm.bos_token(), smollm.eos_token()),
        (Some("<|im_start|>"), Some("<|im_end|>"))
    );
    assert_eq!(smollm.vocab_size(), 53);
}

/// Ids: bytes of é = 3, 4, ▁ = 5, a b c = 6 7 8, ▁a = 9, ab = 10, bc = 11, ▁ab = 12.
#[test]
fn sentence_piece_tokenizers_merge_by_score() {
    let left_first = tokenizer(&sentence_piece(-1.0, -2.0));
    let right_first = tokenizer(&sentence_piece(-2.0, -1.0));
    assert_eq!(left_first.encode("abc").unwrap(), [12, 8]);
    assert_eq!(right_first.encode("abc").unwrap(), [9, 11]);
    assert_eq!(left_first.encode("a é").unwrap(), [9, 5, 3, 4]);
    assert_eq!(left_first.encode("z").unwrap(), [5, 0]);
    assert_eq!(left_first.encode("</s>").unwrap(), [2]);
    assert_eq!(left_first.decode(&[12, 8, 5, 3, 4]).unwrap(), "abc é");
}

#[test]
fn added_tokens_follow_the_vocabulary() {
    let mut tokenizer = tokenizer(&byte_level("smollm"));
    let ids = tokenizer
        .add_special(&["<think>", "<|im_end|>", "<emb>"])
        .unwrap();
    assert_eq!(ids, [53, 2, 54]);
    assert_eq!(tokenizer.vocab_size(), 55);
    assert_eq!(
        tokenizer.encode("ab<think>ab<emb>").unwrap(),
        [41, 53, 41, 54]
    );
    assert_eq!(
        tokenizer.decode(&[41, 53, 41, 54]).unwrap(),
        "ab<think>ab<emb>"
    );
    assert_eq!(tokenizer.token_id("<emb>"), Some(54));
    assert_eq!(tokenizer.token_id("<none>"), None);
}
