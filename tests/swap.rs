//! The double from landmarks to pixels, on a synthetic face.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use understudy::geom::PixelRect;
use understudy::image::{ColorDesc, ColorModel, Frame, Matte, PixelLayout, RgbPatch};
use understudy::swap::{
    self, Double, DoubleLibrary, FaceMotion, FacePoints, LightProbe, LightSmoother, Mesh, RenderedFace,
};

const SIZE: (usize, usize) = (360, 320);

struct Scene {
    mesh: Mesh,
    double: Double,
    motion: FaceMotion,
}

fn landmarks(mesh: &Mesh, width: f32, x: f32, y: f32) -> FacePoints {
    let place = |p: &[f32; 3]| [p[0] * width + x, p[1] * width + y, p[2] * width];
    let mut points: FacePoints = mesh.positions[..468].iter().map(place).collect();
    points.extend([place(&mesh.positions[468]); 5]);
    points.extend([place(&mesh.positions[469]); 5]);
    points
}

fn plan(mesh: &Mesh, double: &Double, points: FacePoints) -> FaceMotion {
    let neutral = swap::estimate_neutral(mesh, std::slice::from_ref(&points)).unwrap();
    swap::plan_motion(mesh, double, &neutral, &[Some(points)], 25.0).remove(0).unwrap()
}

fn scene() -> Scene {
    let library = DoubleLibrary::shipped().unwrap();
    let name = library.cards().next().unwrap().name.clone();
    scene_with(&library, &name)
}

fn scene_with(library: &DoubleLibrary, name: &str) -> Scene {
    let mesh = Mesh::embedded().unwrap();
    let double = library.load(&mesh, name).unwrap();
    let motion = plan(&mesh, &double, landmarks(&mesh, 150.0, 180.0, 140.0));
    Scene { mesh, double, motion }
}

fn frame(depth: u8, color: impl Fn(usize, usize) -> [f32; 3]) -> Frame {
    let layout = PixelLayout { model: ColorModel::Yuv, depth, log2_chroma_w: 1, log2_chroma_h: 1 };
    let mut f = Frame::black(SIZE.0, SIZE.1, layout, ColorDesc::default());
    let mut p = RgbPatch::new(SIZE.0, SIZE.1);
    (0..SIZE.0 * SIZE.1).for_each(|i| p.set_pixel(i % SIZE.0, i / SIZE.0, color(i % SIZE.0, i / SIZE.0)));
    f.blend_rgb(0, 0, &p, &Matte::filled(SIZE.0, SIZE.1, 1.0));
    f
}

fn plain(depth: u8) -> Frame {
    frame(depth, |x, y| [0.62 + 0.0003 * x as f32, 0.46, 0.4 - 0.0002 * y as f32])
}

fn draw(s: &Scene, light: &LightProbe, seed: u64) -> RenderedFace {
    swap::render(&s.mesh, &s.double, &s.motion, light, SIZE, seed).unwrap()
}

#[test]
fn drawing_is_repeatable_and_covers_the_face() {
    let s = scene();
    let light = swap::probe_light(&s.mesh, &plain(8), &s.motion.subject).unwrap();
    let (a, b) = (draw(&s, &light, 5), draw(&s, &light, 5));
    assert_eq!((a.rgb.clone(), a.matte.clone()), (b.rgb, b.matte));
    let full = a.matte.data.iter().filter(|v| **v > 0.99).count() as f32;
    assert!(full > 0.35 * 150.0 * 190.0, "{full}");
    // the middle of the face shows the double, lit as the subject was
    let (x, y) = (180 - a.x, 165 - a.y);
    let [r, g, _] = a.rgb.pixel(x, y);
    assert!(a.matte.data[y * a.matte.width + x] > 0.99 && r > g && r > 0.3 && r < 1.0);
}

#[test]
fn the_subjects_texture_never_shows_where_the_double_covers() {
    let library = DoubleLibrary::shipped().unwrap();
    for card in library.cards() {
        texture_never_shows(&card.name, &scene_with(&library, &card.name));
    }
}

fn texture_never_shows(name: &str, s: &Scene) {
    let light = swap::probe_light(&s.mesh, &plain(8), &s.motion.subject).unwrap();
    let drawn = draw(s, &light, 1);
    // the subject's outline, drawn in by a sixth: the rim is where skin of the subject fades out
    let centre = |k: usize| s.mesh.oval.iter().map(|&v| s.motion.subject[v][k]).sum::<f32>() / s.mesh.oval.len() as f32;
    let (cx, cy) = (centre(0), centre(1));
    let ring: Vec<(f32, f32)> = s.mesh.oval.iter().map(|&v| (s.motion.subject[v][0], s.motion.subject[v][1])).collect();
    let ring: Vec<(f32, f32)> = ring.iter().map(|p| (cx + (p.0 - cx) * 0.83, cy + (p.1 - cy) * 0.83)).collect();
    let inside = |x: usize, y: usize| {
        let (x, y) = (x as f32 + 0.5, y as f32 + 0.5);
        let crossings = (0..ring.len()).filter(|&i| {
            let (a, b) = (ring[i], ring[(i + 1) % ring.len()]);
            (a.1 > y) != (b.1 > y) && x < (b.0 - a.0) * (y - a.1) / (b.1 - a.1) + a.0
        });
        crossings.count() % 2 == 1
    };
    let mut results = Vec::new();
    for strong in [0.0f32, 0.3] {
        let mut f = frame(8, |x, y| {
            let bump = if inside(x, y) && (x / 3 + y / 2) % 2 == 0 { strong } else { 0.0 };
            [0.62 - bump, 0.46 - bump, 0.4 + bump]
        });
        let touched = swap::composite(&s.mesh, &mut f, &s.motion, &drawn, 0.0, &[]).unwrap();
        results.push((f, touched));
    }
    let ((f, touched), (g, _)) = (&results[0], &results[1]);
    // every sample under the textured region, whatever the double's alpha there
    let rect = PixelRect { x: 0, y: 0, width: SIZE.0, height: SIZE.1 };
    let (p, q) = (f.read_rgb(rect), g.read_rgb(rect));
    let mut seen = 0;
    for y in 0..SIZE.1 {
        for x in 0..SIZE.0 {
            let local = x >= touched.x && y >= touched.y;
            let i = if local { (y - touched.y) * touched.matte.width + x - touched.x } else { 0 };
            if inside(x, y) && local {
                assert_eq!(touched.matte.data[i], 1.0, "{name} at {x}, {y}");
                assert_eq!(p.pixel(x, y), q.pixel(x, y), "{name} at {x}, {y}");
                seen += 1;
            }
        }
    }
    assert!(seen > 8500, "{name}: {seen}");
}

#[test]
fn untouched_samples_keep_their_bits() {
    let s = scene();
    let before = frame(10, |x, y| [((x * 7 + y * 13) % 97) as f32 / 97.0; 3]);
    let light = swap::probe_light(&s.mesh, &before, &s.motion.subject).unwrap();
    for halo in [0.0, 0.8] {
        let mut after = before.clone();
        let t = swap::composite(&s.mesh, &mut after, &s.motion, &draw(&s, &light, 2), halo, &[]).unwrap();
        let alpha = |x: usize, y: usize| {
            let inside = x >= t.x && y >= t.y && x < t.x + t.matte.width && y < t.y + t.matte.height;
            if inside { t.matte.data[(y - t.y) * t.matte.width + x - t.x] } else { 0.0 }
        };
        let (mut kept, mut changed) = (0, 0);
        for y in 0..SIZE.1 {
            for x in 0..SIZE.0 {
                let i = y * SIZE.0 + x;
                let same = before.planes[0].samples.get(i) == after.planes[0].samples.get(i);
                assert!(same || alpha(x, y) > 0.0, "{x} {y}");
                kept += usize::from(alpha(x, y) == 0.0);
                changed += usize::from(!same);
            }
        }
        assert!(kept > SIZE.0 * SIZE.1 / 2 && changed > 10_000);
    }
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let s = scene();
    let light = LightProbe::even([0.6, 0.5, 0.4]);
    let mut cases: Vec<FaceMotion> = vec![s.motion.clone(); 5];
    cases[0].target[17][1] = f32::NAN;
    cases[1].target.iter_mut().for_each(|p| p[0] += 5000.0);
    cases[2].target.truncate(100);
    cases[3].mixes[0] = vec![(99, 1.0)];
    cases[4].scale = f32::INFINITY;
    for m in &cases {
        assert!(swap::render(&s.mesh, &s.double, m, &light, SIZE, 0).is_err());
    }
    let drawn = draw(&s, &light, 0);
    for m in [&cases[0], &cases[2], &cases[4]] {
        let mut f = plain(8);
        assert!(swap::composite(&s.mesh, &mut f, m, &drawn, 0.0, &[]).is_err());
        assert_eq!(f, plain(8));
    }
    assert!(swap::composite(&s.mesh, &mut plain(8), &s.motion, &drawn, f32::NAN, &[]).is_err());
}

#[test]
fn faces_at_the_border_and_tiny_ones_are_drawn() {
    let s = scene();
    for (width, x, y) in [(150.0, 5.0, 10.0), (150.0, 355.0, 318.0), (8.0, 100.0, 100.0), (900.0, 180.0, 160.0)] {
        let motion = plan(&s.mesh, &s.double, landmarks(&s.mesh, width, x, y));
        let mut f = plain(8);
        let Ok(light) = swap::probe_light(&s.mesh, &f, &motion.subject) else { continue };
        let drawn = swap::render(&s.mesh, &s.double, &motion, &light, SIZE, 0).unwrap();
        swap::composite(&s.mesh, &mut f, &motion, &drawn, 0.5, &[]).unwrap();
    }
}

#[test]
fn light_of_a_track_is_smoothed_across_gaps() {
    let s = scene();
    let probe = swap::probe_light(&s.mesh, &plain(8), &s.motion.subject).unwrap();
    let smooth = LightSmoother::default().smooth(&[Some(probe.clone()), Some(probe.clone()), None], 2).unwrap();
    assert!((smooth.grain() - probe.grain()).abs() < 1e-5);
}
