//! Readers and writers of data files: what is there is read, what is wrong is named, and what was
//! there before a failed write stays.

use lrem::data::atomic::{replace_folder, write_atomic};
use lrem::data::embeddings::{EmbeddingSet, EmbeddingWriter, Origin};
use lrem::data::overlap::{Shared, overlaps};
use lrem::data::{
    Catalogue, DataError, Item, Matrix, TitleFormat, Titles, npy, read_catalogue, read_triplets,
};
use proptest::prelude::*;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

fn shop(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/shop")
        .join(name)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_bundled_shop_is_whole() {
    let catalogue = read_catalogue(&shop("catalogue.jsonl")).unwrap();
    let train = read_triplets(&shop("train.jsonl"), Some(&catalogue)).unwrap();
    let test = read_triplets(&shop("test.jsonl"), Some(&catalogue)).unwrap();
    assert_eq!((catalogue.len(), train.len(), test.len()), (1600, 880, 281));
    assert_eq!(catalogue.index_of("i00002"), Some(1));
    assert!(
        catalogue
            .get("i00002")
            .unwrap()
            .title
            .starts_with("Harvestry")
    );
    assert!(
        train
            .iter()
            .all(|t| t.cot.is_some() && t.block_in_training.is_none())
    );
    assert!(test.iter().all(|t| t.block_in_training.is_some()));
    assert!(test.iter().any(|t| t.is_hard()) && test.iter().any(|t| !t.is_hard()));
    let found = overlaps(&train, &test);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn leaked_test_queries_are_found() {
    let folder = folder();
    let path = folder.path().join("t.jsonl");
    let read = |text: &str| {
        fs::write(&path, text).unwrap();
        read_triplets(&path, None).unwrap()
    };
    let train = read(
        "{\"id\":\"1\",\"query\":\"Oat milk, 1 L\",\"items\":[\"a\"]}\n\
         {\"id\":\"2\",\"query\":\"tea\",\"items\":[\"a\"],\"later\":7}",
    );
    assert_eq!((train[0].kind.as_str(), &train[0].cot), ("other", &None));
    let test = read(
        "{\"id\":\"2\",\"query\":\"coffee\",\"items\":[\"a\"]}\n\
         {\"id\":\"3\",\"query\":\"  oat MILK 1 l\",\"items\":[\"a\"]}\n\
         {\"id\":\"4\",\"query\":\"oat milk 2 l\",\"items\":[\"a\"]}",
    );
    let found = overlaps(&train, &test);
    let plain: Vec<_> = found
        .iter()
        .map(|o| (o.test.as_str(), o.train.as_str(), o.shared))
        .collect();
    assert_eq!(plain, [("2", "2", Shared::Id), ("3", "1", Shared::Query)]);
    assert_eq!(found[1].to_string(), "test query `3` is training query `1`");
}

#[test]
fn wrong_catalogue_lines_are_named() {
    let folder = folder();
    let path = folder.path().join("c.jsonl");
    let shown = path.display();
    let good = "{\"id\": \"a\", \"title\": \"A\"}\n";
    let expected = "expected {\"id\": \"…\", \"title\": \"…\"}";
    for (line, message) in [
        (
            "{\"id\": \"b\", \"title\": \"B\"",
            format!("broken JSON at column 24: EOF while parsing an object; {expected}"),
        ),
        (
            "{\"id\": \"b\"}",
            format!("missing field `title`; {expected}"),
        ),
        (
            "{\"id\": 7, \"title\": \"B\"}",
            format!("invalid type: integer `7`, expected a string; {expected}"),
        ),
        (
            "{\"id\": \"b\", \"title\": \" \"}",
            "`title` is empty; expected some text".into(),
        ),
        (
            "{\"id\": \"\", \"title\": \"B\"}",
            "`id` is empty; expected a name without white space".into(),
        ),
        (
            "{\"id\": \"b c\", \"title\": \"B\"}",
            "`id` \"b c\" holds white space; expected a name without".into(),
        ),
        (
            "{\"id\": \"a\", \"title\": \"B\"}",
            "id `a` is already on line 1; expected each id once".into(),
        ),
    ] {
        fs::write(&path, format!("{good}\n{line}\n")).unwrap();
        let error = read_catalogue(&path).unwrap_err().to_string();
        assert_eq!(error, format!("{shown}:3: {message}"));
    }
    fs::write(&path, b"{\"id\": \"a\", \"title\": \"\xff\"}").unwrap();
    let error = read_catalogue(&path).unwrap_err().to_string();
    assert_eq!(error, format!("{shown}:1: byte 23 is not UTF-8 text"));
    fs::write(&path, "\n").unwrap();
    let error = read_catalogue(&path).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{shown}: no products; expected one JSON object a line")
    );
    let absent = folder.path().join("absent");
    let error = read_catalogue(&absent).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "cannot open {}: No such file or directory (os error 2)",
            absent.display()
        )
    );
}

fn catalogue_of(folder: &Path, text: &str) -> Catalogue {
    let path = folder.join("catalogue.jsonl");
    fs::write(&path, text).unwrap();
    read_catalogue(&path).unwrap()
}

#[test]
fn wrong_triplets_are_named() {
    let folder = folder();
    let catalogue = catalogue_of(folder.path(), "{\"id\":\"a\",\"title\":\"A\"}");
    let path = folder.path().join("t.jsonl");
    for (line, message) in [
        (
            r#"{"id":"1","query":"q","items":["a","b"]}"#,
            "item `b` is not in the catalogue",
        ),
        (
            r#"{"id":"1","query":"q","items":["a","a"]}"#,
            "item `a` is there twice",
        ),
        (r#"{"id":"1","query":"q","items":[]}"#, "`items` is empty"),
        (r#"{"id":"1","query":"","items":["a"]}"#, "`query` is empty"),
        (
            r#"{"id":"1","query":"q","cot":"","items":["a"]}"#,
            "`cot` is empty",
        ),
        (r#"{"id":"1","query":"q"}"#, "missing field `items`"),
        (
            r#"{"id":"0","query":"q","items":["a"]}"#,
            "id `0` is already on line 1",
        ),
        (
            r#"{"id":"1","id":"2","query":"q","items":["a"]}"#,
            "duplicate field `id`",
        ),
        ("[1]", "invalid"),
    ] {
        let first = r#"{"id":"0","query":"q","items":["a"]}"#;
        fs::write(&path, format!("{first}\n{line}\n")).unwrap();
        let error = read_triplets(&path, Some(&catalogue))
            .unwrap_err()
            .to_string();
        let start = format!("{}:2: {message}", path.display());
        assert!(error.starts_with(&start), "{error:?} instead of {start:?}");
        assert_eq!(error.lines().count(), 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let folder = folder();
        let path = folder.path().join("file");
        // With and without a header that is right, so that what follows it is reached.
        let prefix: &[u8] = b"\x93NUMPY\x01\x00";
        for start in [&b""[..], prefix] {
            fs::write(&path, [start, &bytes].concat()).unwrap();
            let errors = [
                read_catalogue(&path).err(),
                read_triplets(&path, None).err(),
                Matrix::open(&path).err(),
            ];
            for error in errors.into_iter().flatten() {
                prop_assert_eq!(error.to_string().lines().count(), 1, "{}", error);
            }
        }
    }

    #[test]
    fn titles_come_through(titles in prop::collection::vec("[ -~é]{0,9}", 0..9)) {
        let text: String = titles.iter().map(|title| format!("{title}\r\n")).collect();
        let want: Vec<(String, String)> = titles
            .iter()
            .enumerate()
            .map(|(at, title)| ((at + 1).to_string(), title.trim().to_string()))
            .filter(|(_, title)| !title.is_empty())
            .collect();
        let reader = io::Cursor::new(text.into_bytes());
        let read = Titles::new(reader, Path::new("<test>"), TitleFormat::Plain);
        let read: Result<Vec<Item>, DataError> = read.collect();
        let got: Vec<(String, String)> =
            read.unwrap().into_iter().map(|item| (item.id, item.title)).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn matrices_are_read_back(rows in 0usize..7, columns in 0usize..7, bits: [u32; 49]) {
        let folder = folder();
        let path = folder.path().join("m.npy");
        let data: Vec<f32> = bits[..rows * columns].iter().map(|&b| f32::from_bits(b)).collect();
        npy::write(&path, rows, columns, &data).unwrap();
        let matrix = Matrix::open(&path).unwrap();
        prop_assert_eq!((matrix.rows(), matrix.columns()), (rows, columns));
        let as_bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        prop_assert_eq!(as_bits(matrix.data()), as_bits(&data));
        for row in 0..rows {
            let want = &data[row * columns..(row + 1) * columns];
            prop_assert_eq!(as_bits(matrix.row(row)), as_bits(want));
        }
        // A file cut anywhere is refused.
        let bytes = fs::read(&path).unwrap();
        let cut = bits[0] as usize % bytes.len();
        fs::write(&path, &bytes[..cut]).unwrap();
        prop_assert!(Matrix::open(&path).is_err());
    }
}

#[test]
fn titles_tell_their_format() {
    let read = |text: &'static str, format| {
        let reader = io::Cursor::new(text.as_bytes());
        Titles::new(reader, Path::new("<stdin>"), format).collect::<Vec<_>>()
    };
    let item = |id: &str, title: &str| Item {
        id: id.into(),
        title: title.into(),
    };
    let json = read(
        "\u{feff}\n{\"id\":\"a\",\"title\":\"A\"}",
        TitleFormat::Auto,
    );
    assert_eq!(
        json.into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        [item("a", "A")]
    );
    let plain = read("A\n\n{B}\n", TitleFormat::Auto);
    let plain: Vec<Item> = plain.into_iter().map(Result::unwrap).collect();
    assert_eq!(plain, [item("1", "A"), item("3", "{B}")]);
    // After an error, nothing more.
    let wrong = read("{}\n{\"id\":\"a\",\"title\":\"A\"}", TitleFormat::Auto);
    assert_eq!(wrong.len(), 1);
    let error = wrong[0].as_ref().unwrap_err().to_string();
    assert!(
        error.starts_with("<stdin>:1: missing field `id`"),
        "{error}"
    );
}

#[test]
fn numpys_headers_are_read() {
    let folder = folder();
    let path = folder.path().join("m.npy");
    let write = |version: u8, dict: &str, values: usize| {
        // The values start at byte 128.
        let width = if version == 1 { 117 } else { 115 };
        let dict = format!("{dict:<width$}\n");
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((dict.len() as u16).to_le_bytes()),
            _ => bytes.extend((dict.len() as u32).to_le_bytes()),
        }
        bytes.extend(dict.as_bytes());
        bytes.extend(vec![0; values * 4]);
        fs::write(&path, bytes).unwrap();
        Matrix::open(&path)
            .map(|m| (m.rows(), m.columns()))
            .map_err(|e| e.to_string())
    };
    // As NumPy writes it, and in another order and style.
    let numpy = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    assert_eq!(write(1, numpy, 6), Ok((2, 3)));
    let other = "{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}";
    assert_eq!(write(2, other, 6), Ok((2, 3)));
    let odd = format!("{numpy:<120}");
    let error = write(1, &odd, 6).unwrap_err();
    assert!(
        error.ends_with("values start at byte 131; expected a multiple of 4"),
        "{error}"
    );
    for (version, dict, values, message) in [
        (
            1,
            numpy.replace("<f4", "<f8"),
            6,
            "values are \"<f8\"; expected '<f4', f32",
        ),
        (
            1,
            numpy.replace("False", "True "),
            6,
            "Fortran order; expected C order",
        ),
        (
            1,
            numpy.replace("(2, 3)", "(6,)  "),
            6,
            "shape is (6,); expected (rows, columns)",
        ),
        (
            1,
            numpy.replace("(2, 3)", "(2, 4)"),
            6,
            "holds 24 bytes after its header; expected [2, 4]",
        ),
        (
            1,
            numpy.replace("2, 3", "9999999999999999, 9999999999999999"),
            6,
            "",
        ),
        (
            1,
            numpy.replace("shape", "shade"),
            6,
            "the header has no 'shape'",
        ),
        (
            9,
            numpy.to_string(),
            6,
            ".npy version 9; expected 1, 2 or 3",
        ),
    ] {
        let error = write(version, &dict, values).unwrap_err();
        assert!(error.contains(message), "{error:?} instead of {message:?}");
    }
}

#[test]
fn a_failed_write_changes_nothing() {
    let folder = folder();
    let path = folder.path().join("file");
    write_atomic(&path, |out| out.write_all(b"old")).unwrap();
    let error = write_atomic(&path, |out| {
        out.write_all(&vec![0; 3 << 20])?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        format!("cannot write {}: no storage space", path.display())
    );
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(folder.path()), ["file"]);
    let absent = folder.path().join("absent/file");
    let error = write_atomic(&absent, |_| Ok(())).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot write {}: ", absent.display())),
        "{error}"
    );
}

#[test]
fn a_folder_is_replaced_as_a_whole() {
    let folder = folder();
    let path = folder.path().join("a/index");
    let fill = |name: &'static str, fail: bool| {
        replace_folder(&path, |new| -> Result<(), DataError> {
            assert_eq!(names(new), Vec::<String>::new());
            write_atomic(&new.join(name), |out| out.write_all(b"text"))?;
            if fail {
                Err(DataError::file(new, "no"))
            } else {
                Ok(())
            }
        })
    };
    fill("one", false).unwrap();
    assert!(fill("two", true).is_err());
    assert_eq!(names(&path), ["one"]);
    fill("three", false).unwrap();
    assert_eq!(names(&path), ["three"]);
    assert_eq!(names(&folder.path().join("a")), ["index"]);
}

fn origin(model: &str) -> Origin {
    Origin {
        hidden: 3,
        model: model.into(),
    }
}

fn rows(range: std::ops::Range<usize>) -> (Vec<String>, Vec<f32>) {
    let ids = range.clone().map(|i| format!("é{i}")).collect();
    (ids, range.flat_map(|i| [i as f32, 1.0, -1.0]).collect())
}

fn append(writer: &mut EmbeddingWriter, range: std::ops::Range<usize>) {
    let (ids, rows) = rows(range);
    writer.append(&ids, &rows).unwrap();
}

fn check_set(set: &EmbeddingSet, count: usize) {
    let (ids, rows) = rows(0..count);
    assert_eq!((&set.ids, set.matrix.data()), (&ids, rows.as_slice()));
}

#[test]
fn embedding_resumes_after_a_kill() {
    let folder = folder();
    let npy = folder.path().join("out.npy");
    let mut writer = EmbeddingWriter::create_or_resume(&npy, origin("m")).unwrap();
    append(&mut writer, 0..4);
    append(&mut writer, 4..5);
    drop(writer);
    // What a kill in the middle of a third chunk may leave behind the rows that count.
    for name in ["out.npy.partial", "out.ids.partial"] {
        let path = folder.path().join(name);
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(b"\xc3torn").unwrap();
    }
    let error = EmbeddingSet::open(&npy).unwrap_err().to_string();
    assert!(
        error.ends_with("the embeddings are not finished; embed again to resume"),
        "{error}"
    );
    let error = EmbeddingWriter::create_or_resume(&npy, origin("other"))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("was begun with model m and 3 values a row"),
        "{error}"
    );

    let mut writer = EmbeddingWriter::create_or_resume(&npy, origin("m")).unwrap();
    assert_eq!(writer.ids(), rows(0..5).0);
    append(&mut writer, 5..7);
    check_set(&writer.finish().unwrap(), 7);
    assert_eq!(names(folder.path()), ["out.ids", "out.json", "out.npy"]);
    let set = EmbeddingSet::open(&npy).unwrap();
    check_set(&set, 7);
    assert_eq!(set.origin, origin("m"));
    // The file holds its rows and nothing behind them.
    assert_eq!(fs::metadata(&npy).unwrap().len(), 128 + 7 * 3 * 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn any_interruptions_give_the_same_set(
        chunks in prop::collection::vec((0usize..5, any::<bool>()), 0..6),
    ) {
        let folder = folder();
        let npy = folder.path().join("out.npy");
        let mut writer = EmbeddingWriter::create_or_resume(&npy, origin("m")).unwrap();
        let mut done = 0;
        for (count, killed) in chunks {
            append(&mut writer, done..done + count);
            done += count;
            if killed {
                drop(writer);
                writer = EmbeddingWriter::create_or_resume(&npy, origin("m")).unwrap();
                prop_assert_eq!(writer.ids().len(), done);
            }
        }
        check_set(&writer.finish().unwrap(), done);
    }
}

#[test]
fn wrong_embeddings_are_refused() {
    let folder = folder();
    let npy = folder.path().join("out.npy");
    let mut writer = EmbeddingWriter::create_or_resume(&npy, origin("m")).unwrap();
    for (ids, rows, message) in [
        (["a"], vec![1.0; 4], "4 values given for 1 ids of 3"),
        (
            ["a"],
            vec![1.0, f32::NAN, 1.0],
            "embedding of `a` is not finite",
        ),
        (["a\nb"], vec![1.0; 3], "holds white space"),
    ] {
        let error = writer.append(&ids, &rows).unwrap_err().to_string();
        assert!(error.contains(message), "{error:?} instead of {message:?}");
    }
    append(&mut writer, 0..2);
    check_set(&writer.finish().unwrap(), 2);
    let ids = folder.path().join("out.ids");
    fs::write(&ids, "a\n").unwrap();
    let error = EmbeddingSet::open(&npy).unwrap_err().to_string();
    let message = format!(
        "{}: 1 ids; expected 2, the rows of {}",
        ids.display(),
        npy.display()
    );
    assert_eq!(error, message);
    fs::write(
        folder.path().join("out.json"),
        "{\"hidden\": 4, \"model\": \"m\"}",
    )
    .unwrap();
    let error = EmbeddingSet::open(&npy).unwrap_err().to_string();
    assert!(
        error.contains("rows hold 3 values; expected 4 as "),
        "{error}"
    );
}
