//! A caption on pictures of many makes.

use super::*;
use crate::image::{ColorDesc, ColorModel, PixelLayout, Samples};

fn cast(more: &str) -> Cast {
    Cast::parse(&format!("[policy]\ndisclaimer = true\n{more}"), "cast.toml").unwrap()
}

fn card(size: (usize, usize), transfer: u8) -> Card {
    Card::of(&cast(""), size, (1, 1), transfer).unwrap().unwrap()
}

/// A picture of soft waves and single pixels in any layout.
fn picture((width, height): (usize, usize), layout: PixelLayout, color: ColorDesc) -> Frame {
    let mut f = Frame::black(width, height, layout, color);
    let full = color.full_range == Some(true) || layout.model == ColorModel::Gbr;
    let unit = f32::from(1u16 << (layout.depth - 8));
    for (p, plane) in f.planes.iter_mut().enumerate() {
        let width = plane.width;
        for i in 0..plane.samples.len() {
            let (x, y) = ((i % width) as f32, (i / width) as f32);
            let wave = (x * 0.11).sin() + (y * 0.07 + p as f32).cos();
            let v = if p == 0 || layout.model == ColorModel::Gbr { 130.0 + 40.0 * wave } else { 128.0 + 12.0 * wave };
            let v = if full { v } else { v.clamp(20.0, 230.0) };
            plane.samples.set(i, v * unit, 255.0 * unit);
        }
    }
    f
}

fn layouts() -> Vec<(PixelLayout, ColorDesc)> {
    let mut out = Vec::new();
    for (model, depth, w, h) in [
        (ColorModel::Yuv, 8, 1, 1),
        (ColorModel::Yuv, 10, 1, 1),
        (ColorModel::Yuv, 10, 1, 0),
        (ColorModel::Yuv, 12, 0, 0),
        (ColorModel::Yuv, 8, 2, 0),
        (ColorModel::Gray, 8, 0, 0),
        (ColorModel::Gbr, 8, 0, 0),
        (ColorModel::Gbr, 10, 0, 0),
    ] {
        for full in [false, true] {
            let color = ColorDesc { matrix: 1, full_range: Some(full), ..ColorDesc::default() };
            out.push((PixelLayout { model, depth, log2_chroma_w: w, log2_chroma_h: h }, color));
        }
    }
    out
}

#[test]
fn it_is_seen_in_every_layout_and_touches_nothing_else() {
    let size = (483, 271);
    let card = card(size, 1);
    for (layout, color) in layouts() {
        let before = picture(size, layout, color);
        let mut after = before.clone();
        let touched = card.draw(&mut after, 1.0).unwrap().unwrap();
        assert_eq!((touched.x, touched.y, touched.matte.width), (0, card.area().y, size.0));
        let seen = card.seen(&before, &after);
        assert!(seen > 0.9, "{layout:?} {color:?}: {seen}");
        assert!(card.seen(&before, &before).abs() < 0.2, "{layout:?}: {}", card.seen(&before, &before));
        for (p, (a, b)) in before.planes.iter().zip(&after.planes).enumerate() {
            let above = (card.area().y >> if p > 0 { layout.log2_chroma_h } else { 0 }) * a.width;
            let same = (0..above).all(|i| a.samples.get(i) == b.samples.get(i));
            assert!(same, "plane {p} of {layout:?} above the card");
        }
        // White letters are as white in every layout.
        let ink = card.cells.iter().position(|c| c.1 >= 1.0).unwrap();
        let px = after.read_rgb(card.area()).pixel(ink % size.0, ink / size.0);
        let [r, g, b] = px.map(|v| (v - LEVELS.0).abs());
        assert!(g < 0.02 && r.max(b) < 0.12, "{layout:?} {color:?}: {px:?}");
    }
}

#[test]
fn what_can_be_worked_out_beneath_it_is() {
    let layout = PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 };
    let before = picture((640, 360), layout, ColorDesc { matrix: 1, ..ColorDesc::default() });
    let card = card((640, 360), 1);
    for strength in [1.0, 0.4] {
        let mut after = before.clone();
        card.draw(&mut after, strength).unwrap();
        let bare = card.lift(&after, strength).unwrap();
        let (a, b) = (before.read_rgb(card.area()), bare.read_rgb(card.area()));
        let open: Vec<f32> = (0..card.cells.len())
            .filter(|i| card.cells[*i].1 == 0.0)
            .map(|i| (a.data[3 * i + 1] - b.data[3 * i + 1]).abs())
            .collect();
        let mean = open.iter().sum::<f32>() / open.len() as f32;
        assert!(mean < 0.01, "{strength}: {mean}");
        let all = a.data.iter().zip(&b.data).map(|(x, y)| (x - y).abs()).sum::<f32>() / a.data.len() as f32;
        assert!(all < 0.03, "{strength}: {all}");
    }
    assert!(card.lift(&before, 0.0).is_none());
}

#[test]
fn it_stands_from_the_first_picture_and_fades_at_its_end() {
    let text = "[policy]\ndisclaimer = { seconds = 6 }\n";
    let card = Card::of(&Cast::parse(text, "c").unwrap(), (640, 360), (1, 1), 1).unwrap().unwrap();
    let at = |s: f64| card.strength(s);
    assert_eq!([at(0.0), at(5.5), at(5.75), at(6.0), at(3600.0)], [1.0, 1.0, 0.5, 0.0, 0.0]);
    let mut f = Frame::black(
        640,
        360,
        PixelLayout { model: ColorModel::Gray, depth: 8, log2_chroma_w: 0, log2_chroma_h: 0 },
        ColorDesc::default(),
    );
    let before = f.clone();
    assert!(card.draw(&mut f, at(6.0)).unwrap().is_none() && f == before);
    assert_eq!(card.draw(&mut Frame { width: 639, ..f }, 1.0).unwrap_err().exit_code(), 4);
}

#[test]
fn letters_are_no_lamps_in_high_dynamic_range() {
    let white = |transfer: u8| {
        let card = card((640, 360), transfer);
        let layout = PixelLayout { model: ColorModel::Yuv, depth: 10, log2_chroma_w: 1, log2_chroma_h: 1 };
        let mut f = Frame::black(640, 360, layout, ColorDesc { matrix: 9, transfer, ..ColorDesc::default() });
        card.draw(&mut f, 1.0).unwrap();
        let Samples::U16(v) = &f.planes[0].samples else { panic!() };
        *v.iter().max().unwrap()
    };
    let code = |level: f32| (64.0 + 876.0 * level).round() as u16;
    assert_eq!([white(1), white(16), white(18)], [code(0.92), code(0.58), code(0.75)]);
}

#[test]
fn a_name_in_it_is_refused() {
    let words = "[words]\n\"Anna Kovac\" = \"the witness\"\n";
    let with = |text: &str| {
        let source = format!("[policy]\n\ndisclaimer = \"{text}\"\n{words}");
        Card::of(&Cast::parse(&source, "cast.toml").unwrap(), (640, 360), (1, 1), 1)
    };
    assert!(with("Voices were altered.").is_ok());
    for text in ["The voice of Anna Kovac was altered.", "Thank you, Kovač!"] {
        let e = with(text).unwrap_err().to_string();
        assert!(e.contains("line 3") && e.contains("[words]") && !e.contains("Kova"), "{e}");
    }
    let e = Card::of(&cast(""), (48, 32), (1, 1), 1).unwrap_err().to_string();
    assert!(e.contains("line 2") && e.contains("48 × 32"), "{e}");
    assert!(Card::of(&Cast::default(), (48, 32), (1, 1), 1).unwrap().is_none());
}
