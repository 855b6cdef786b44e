//! Cost of one face in one frame: light, drawing, compositing, and planning per frame.

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use understudy::image::{ColorDesc, ColorModel, Frame, PixelLayout};
use understudy::swap::{self, DoubleLibrary, FacePoints, Mesh};

const SIZE: (usize, usize) = (1280, 720);

/// The canonical face, looking ahead, as landmarks in a frame.
fn landmarks(mesh: &Mesh, width: f32) -> FacePoints {
    let place = |p: &[f32; 3]| [p[0] * width + 640.0, p[1] * width + 340.0, p[2] * width];
    let mut points: FacePoints = mesh.positions[..468].iter().map(place).collect();
    points.extend([place(&mesh.positions[468]); 5]);
    points.extend([place(&mesh.positions[469]); 5]);
    points
}

fn frame() -> Frame {
    let layout = PixelLayout { model: ColorModel::Yuv, depth: 8, log2_chroma_w: 1, log2_chroma_h: 1 };
    let mut f = Frame::black(SIZE.0, SIZE.1, layout, ColorDesc::default());
    f.paint(understudy::geom::PixelRect { x: 0, y: 0, width: SIZE.0, height: SIZE.1 }, [0.6, 0.45, 0.4]);
    f
}

fn bench(c: &mut Criterion) {
    let Ok(mesh) = Mesh::embedded() else { return };
    let Ok(library) = DoubleLibrary::shipped() else { return };
    let Some(name) = library.cards().next().map(|c| c.name.clone()) else { return };
    let Ok(double) = library.load(&mesh, &name) else { return };
    for width in [60.0, 250.0, 500.0] {
        let face = landmarks(&mesh, width);
        let Some(neutral) = swap::estimate_neutral(&mesh, std::slice::from_ref(&face)) else { return };
        let track = vec![Some(face); 25];
        let plan = swap::plan_motion(&mesh, &double, &neutral, &track, 25.0);
        let (mut frame, Some(motion)) = (frame(), plan[0].as_ref()) else { return };
        let Ok(light) = swap::probe_light(&mesh, &frame, &motion.subject) else { return };
        let Ok(drawn) = swap::render(&mesh, &double, motion, &light, SIZE, 1) else { return };
        let mut group = c.benchmark_group(format!("face {width:.0} px"));
        group.sample_size(20);
        group.bench_function("plan 25 frames", |b| {
            b.iter(|| swap::plan_motion(&mesh, &double, &neutral, black_box(&track), 25.0));
        });
        group.bench_function("light", |b| b.iter(|| swap::probe_light(&mesh, black_box(&frame), &motion.subject)));
        group.bench_function("render", |b| b.iter(|| swap::render(&mesh, &double, motion, black_box(&light), SIZE, 1)));
        group.bench_function("composite", |b| b.iter(|| swap::composite(&mesh, &mut frame, motion, &drawn, 0.0, &[])));
        group.finish();
    }
    c.bench_function("load a double", |b| b.iter(|| library.load(&mesh, black_box(&name))));
}

criterion_group!(benches, bench);
criterion_main!(benches);
