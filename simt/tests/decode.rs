//! Every PTX text of the test data decodes.

use simt::ptx::{decode::decode, parser::parse};

#[test]
fn test_data_decodes() {
    for entry in std::fs::read_dir("tests/ptx").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "ptx") {
            let text = std::fs::read_to_string(&path).unwrap();
            let module = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let mut next = 1 << 20;
            let mut allocate = |bytes: u64, _| {
                next += bytes.next_multiple_of(256);
                Some(next - bytes.next_multiple_of(256))
            };
            let decoded = decode(&module, &mut allocate);
            let (program, _) =
                decoded.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(program.functions.iter().any(|f| f.is_entry));
        }
    }
}
