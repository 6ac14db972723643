//! Wavefronts of shared memory.

use crate::machine::Machine;
use simt::count::record::Wavefronts;

/// Needed and ideal wavefronts.
fn fronts(wavefronts: &Wavefronts) -> (u64, u64) {
    (wavefronts.wavefronts, wavefronts.ideal_wavefronts)
}

/// Loads of an instruction at the offset that `address` leaves in `%r1`, by one warp.
fn loads(address: &str, load: &str) -> (u64, u64) {
    let body = format!("{address} mov.u32 %r2, tile; add.u32 %r1, %r1, %r2; {load}");
    let record = Machine::new().run(&body, 1, 32, 64);
    assert_eq!(record.shared.loads.requests, 1);
    assert_eq!(record.shared.stores, Wavefronts::default());
    fronts(&record.shared.loads)
}

#[test]
fn strides_of_words() {
    for (stride, ways) in [(1, 1), (2, 2), (3, 1), (8, 8), (32, 32)] {
        let address = format!("mul.lo.u32 %r1, %tid, {};", 4 * stride);
        let found = loads(&address, "ld.shared.f32 %f1, [%r1];");
        assert_eq!(found, (ways, 1), "stride {stride}");
    }
}

#[test]
fn padding_and_swizzles_of_a_column() {
    let load = "ld.shared.f32 %f1, [%r1];";
    // A column of a tile of 32 words a row: all lanes in one bank.
    assert_eq!(loads("shl.b32 %r1, %tid, 7;", load), (32, 1));
    // A row of 33 words.
    assert_eq!(loads("mul.lo.u32 %r1, %tid, 132;", load), (1, 1));
    // The column's index XORed with the row's.
    let swizzled = "xor.b32 %r3, %tid, 5; shl.b32 %r3, %r3, 2; shl.b32 %r1, %tid, 7;\
                    or.b32 %r1, %r1, %r3;";
    assert_eq!(loads(swizzled, load), (1, 1));
}

#[test]
fn one_word_for_many_lanes() {
    let load = "ld.shared.f32 %f1, [%r1];";
    assert_eq!(loads("mov.u32 %r1, 64;", load), (1, 1));
    // Halves of a word.
    let half = "ld.shared.b16 %h1, [%r1];";
    assert_eq!(loads("shl.b32 %r1, %tid, 1;", half), (1, 1));
    // Two words of the same bank, sixteen lanes each.
    assert_eq!(
        loads("and.b32 %r1, %tid, 1; shl.b32 %r1, %r1, 7;", load),
        (2, 1)
    );
}

#[test]
fn wide_loads_go_in_parts() {
    let two = "ld.shared.v2.f32 {%f1, %f2}, [%r1];";
    let four = "ld.shared.v4.f32 {%f1, %f2, %f3, %f4}, [%r1];";
    assert_eq!(loads("shl.b32 %r1, %tid, 3;", two), (2, 2));
    assert_eq!(loads("shl.b32 %r1, %tid, 4;", four), (4, 4));
    // Sixteen lanes 16 bytes apart are 64 words wide: every bank has two.
    assert_eq!(loads("shl.b32 %r1, %tid, 4;", two), (4, 2));
    // Eight lanes 32 bytes apart, the same.
    assert_eq!(loads("shl.b32 %r1, %tid, 5;", four), (8, 4));
}

#[test]
fn stores_and_atomics() {
    let body = "shl.b32 %r1, %tid, 3; mov.u32 %r2, tile; add.u32 %r1, %r1, %r2;\
                st.shared.u32 [%r1], %tid; red.shared.add.u32 [%r2], 1;\
                atom.shared.add.u32 %r3, [%r1], 1;";
    let record = Machine::new().run(body, 3, 64, 64);
    // Six warps: a stride of two words; then all lanes at one word; then the stride again.
    assert_eq!(fronts(&record.shared.stores), (6 * 2, 6));
    assert_eq!(fronts(&record.shared.atomics), (6 * (32 + 2), 6 * 2));
    assert_eq!(record.shared.atomics.requests, 12);
}

/// `ldmatrix.x4` of four 8 × 8 matrices of halves below one another, whose rows begin at `address`.
fn matrices(address: &str) -> (u64, u64) {
    let load = "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r4, %r5, %r6, %r7}, [%r1];";
    loads(address, load)
}

#[test]
fn ldmatrix() {
    // Rows of 128 bytes: the eight rows of a matrix begin in the same bank.
    assert_eq!(matrices("shl.b32 %r1, %tid, 7;"), (32, 4));
    // Rows of 64 bytes: two of them fill the banks, four rows meet.
    assert_eq!(matrices("shl.b32 %r1, %tid, 6;"), (16, 4));
    // Padded by 16 bytes.
    assert_eq!(matrices("mul.lo.u32 %r1, %tid, 144;"), (4, 4));
    // The 16 bytes' index XORed with the row's, modulo 8.
    let swizzled = "and.b32 %r3, %tid, 7; xor.b32 %r3, %r3, 3; shl.b32 %r3, %r3, 4;\
                    shl.b32 %r1, %tid, 7; or.b32 %r1, %r1, %r3;";
    assert_eq!(matrices(swizzled), (4, 4));
}

#[test]
fn ldmatrix_asks_only_the_lanes_whose_rows_it_loads() {
    // Lanes from 8 on point outside of shared memory.
    let address = "setp.lt.u32 %p1, %tid, 8; mul.lo.u32 %r1, %tid, 16;\
                   selp.u32 %r1, %r1, 0x7ffffff0, %p1;";
    let load = "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r4}, [%r1];";
    assert_eq!(loads(address, load), (1, 1));
}

#[test]
fn conflicts_are_told_by_line() {
    let body = ".loc 1 11 0\nmov.u32 %r2, tile; mad.lo.u32 %r1, %tid, 8, %r2;\n\
                .loc 1 12 0\nst.shared.u32 [%r1], %tid;\n";
    let text = crate::machine::kernel(body) + ".file 1 \"some.cu\"\n";
    let params = [0; 16];
    let setup = crate::machine::Setup {
        grid: [1; 3],
        block: 96,
        shared: 0,
        params: &params,
    };
    let record = Machine::new().launch(&text, "k", &setup);
    let lines = &record.source_lines;
    let found: Vec<_> = lines.iter().map(|l| (l.file.as_str(), l.line)).collect();
    assert_eq!(found, [("some.cu", 11), ("some.cu", 12)]);
    assert_eq!(lines[0].counts.instructions, 6);
    assert_eq!(lines[0].counts.wavefronts, 0);
    // The return follows without a `.loc` of its own.
    assert_eq!(lines[1].counts.instructions, 6);
    assert_eq!(lines[1].counts.wavefronts, 6);
    assert_eq!(lines[1].counts.ideal_wavefronts, 3);
    let store = text.lines().position(|l| l.contains("st.shared")).unwrap() as u32 + 1;
    let line = record.ptx_lines.iter().find(|l| l.line == store).unwrap();
    assert_eq!((line.counts.instructions, line.counts.wavefronts), (3, 6));
}
