//! Fusion changes no bit: random stacks of layers, with every rule on, each rule alone, each rule off, and none, on every
//! ISA, with 1, 2 and 3 threads, in a session and outside of one.

use layers::{
    Affine, Batch, BatchNorm, BatchNormForm, Dropout, DropoutForm, Fusion, Init, Layer, Network, NetworkLayer, Pass,
    Relu, Role, Rule, Sigmoid, State, Stream, Tanh, UpdateRule, stream,
};
use tensor::isa::AnyIsa;
use tensor::threads::session;
use tensor::vec::ByteRows;
use tensor::{Exec, Tensor};
use testkit::compare::assert_bits;
use testkit::rng::Rng;

const BATCH: usize = 37;
const INPUTS: usize = 150;

/// Descent with a velocity, so that there is state.
struct Momentum;

impl UpdateRule for Momentum {
    fn apply(&self, _: Exec, role: Role, value: &mut [f32], gradient: &[f32], [v, _]: [&mut [f32]; 2]) {
        let rate = if role == Role::Weight { 0.1 } else { 0.05 };
        for ((w, g), v) in value.iter_mut().zip(gradient).zip(v) {
            *v = 0.9 * *v - rate * g;
            *w += *v;
        }
    }
}

/// A random stack: a function of the seed.
fn stack(exec: Exec, seed: u64) -> Vec<NetworkLayer> {
    let (rng, weights) = (&mut Rng::new(seed), &mut stream(seed, Stream::Weights));
    let (mut layers, mut width) = (Vec::<NetworkLayer>::new(), INPUTS);
    for depth in 0..rng.usize_in(1..4) as u64 {
        let units = [40, 64, 100, 104][rng.usize_in(0..4)];
        layers.push(Affine::new(exec, width, units, Init::He, weights).into());
        if rng.usize_in(0..3) == 0 {
            layers.push(BatchNorm::new(units, [BatchNormForm::Book, BatchNormForm::Torch][rng.usize_in(0..2)]).into());
        }
        match rng.usize_in(0..5) {
            0 => layers.push(NetworkLayer::custom(Sigmoid::new(units))),
            1 => layers.push(NetworkLayer::custom(Tanh::new(units))),
            // Two in a row: the second has a gate in dX of nobody's.
            2 => layers.extend([Relu::new(units).into(), Relu::new(units).into()]),
            _ => layers.push(Relu::new(units).into()),
        }
        if rng.usize_in(0..2) == 0 {
            let form = [DropoutForm::Book, DropoutForm::Torch][rng.usize_in(0..2)];
            layers.push(Dropout::new(units, 0.3, form, seed, depth).into());
        }
        width = units;
    }
    layers.push(Affine::new(exec, width, 10, Init::He, weights).into());
    layers
}

/// Losses and logits of three steps and an evaluation, and then all parameters, velocities and statistics.
fn run(exec: Exec, seed: u64, fusion: Fusion, pixels: &[u8], labels: &[u8]) -> Vec<f32> {
    let mut network = Network::from_layers(exec, INPUTS, stack(exec, seed), BATCH, fusion);
    let lengths = network.parameter_lengths();
    let mut state: Vec<State> = lengths
        .iter()
        .map(|&len| [tensor::array::AlignedBuf::zeroed(len), tensor::array::AlignedBuf::zeroed(0)])
        .collect();
    let indices: Vec<usize> = (0..BATCH).collect();
    let mut all = Vec::new();
    for (step, rows) in [(0, BATCH), (1, BATCH), (2, BATCH / 2)] {
        let x = Batch::Bytes(ByteRows::new(pixels, INPUTS, &indices[..rows]));
        all.push(session(exec, |exec| {
            network.loss_and_update(exec, step, x, &labels[..rows], &Momentum, &mut state).expect("the batch fits")
        }));
        all.extend(network.forward_batch(exec, Pass::Inference, x).expect("the batch fits").iter());
    }
    network.parameters(&mut |_, parameter| all.extend_from_slice(parameter.value));
    network.statistics(&mut |_, statistic| all.extend_from_slice(statistic.value));
    state.iter().for_each(|[v, _]| all.extend_from_slice(v));
    all
}

fn data() -> (Vec<u8>, Vec<u8>) {
    let mut rng = Rng::new(7);
    let pixels = (0..BATCH * INPUTS).map(|_| if rng.unit() < 0.4 { rng.usize_in(1..256) as u8 } else { 0 }).collect();
    (pixels, (0..BATCH).map(|_| rng.usize_in(0..10) as u8).collect())
}

/// Every rule, none, each alone, and each off.
fn fusions() -> Vec<Fusion> {
    let alone = Rule::ALL.map(|rule| Fusion::NONE.with(rule));
    let off = Rule::ALL.map(|rule| Fusion::default().without(rule));
    [Fusion::default(), Fusion::NONE].into_iter().chain(alone).chain(off).collect()
}

#[test]
fn a_fused_program_has_the_bits_of_the_unfused_one_for_random_stacks_of_layers() {
    let (pixels, labels) = data();
    let mut rules_seen = [false; Rule::ALL.len()];
    for seed in 0..12 {
        let best = AnyIsa::available().last().expect("portable is always there");
        let want = run(Exec::with_isa(best, 1), seed, Fusion::NONE, &pixels, &labels);
        assert!(want.iter().all(|x| x.is_finite()), "stack {seed}");
        for fusion in fusions() {
            let exec = Exec::with_isa(best, 1);
            assert_bits(&format!("stack {seed}, {fusion:?}"), &run(exec, seed, fusion, &pixels, &labels), &want);
        }
        let network = Network::from_layers(
            Exec::with_isa(best, 1),
            INPUTS,
            stack(Exec::serial(), seed),
            BATCH,
            Fusion::default(),
        );
        for rule in network.programs().into_iter().flat_map(|program| &program.kernels).flat_map(|kernel| &kernel.fused)
        {
            rules_seen[*rule as usize] = true;
        }
    }
    assert_eq!(rules_seen, [true; Rule::ALL.len()], "every rule has fused something");
}

#[test]
fn threads_and_isas_change_no_bit_of_a_fused_program() {
    let (pixels, labels) = data();
    for seed in 0..4 {
        let best = AnyIsa::available().last().expect("portable is always there");
        let want = run(Exec::with_isa(best, 1), seed, Fusion::NONE, &pixels, &labels);
        for isa in AnyIsa::available() {
            let fusion = if seed % 2 == 0 { Fusion::default() } else { Fusion::NONE };
            let got = run(Exec::with_isa(isa, 1), seed, fusion, &pixels, &labels);
            assert_bits(&format!("stack {seed} on {}", isa.name()), &got, &want);
        }
        for threads in [2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("so many can be had");
            for fusion in [Fusion::default(), Fusion::NONE] {
                let got = pool.install(|| run(Exec::with_isa(best, threads), seed, fusion, &pixels, &labels));
                assert_bits(&format!("stack {seed}, {threads} threads, {fusion:?}"), &got, &want);
            }
        }
    }
}

#[test]
fn a_program_prints_its_kernels_with_their_equations_plans_and_rules() {
    let exec = Exec::serial();
    let weights = &mut stream(1, Stream::Weights);
    let layers = vec![
        Affine::new(exec, INPUTS, 100, Init::He, weights).into(),
        Relu::new(100).into(),
        Affine::new(exec, 100, 10, Init::He, weights).into(),
    ];
    let network = Network::from_layers(exec, INPUTS, layers, BATCH, Fusion::default());
    let [training, inference] = network.programs().map(ToString::to_string);
    for line in [
        "batch of 37; layers: 0 affine, 1 relu, 2 affine",
        "Y1 = relu(layer0(X))",
        "[affine-relu]",
        "loss, dY2 = softmax(Y2) − labels",
        "dY0 = dY2·W2ᵀ, 0 where Y1 ≤ 0",
        "[relu-gate]",
        "W2 ← update(W2, Y1ᵀ·dY2), b2",
        "[deferred]",
        "[dw-update]",
        "37x150x100",
        "zeros are skipped if they pay",
    ] {
        assert!(training.contains(line), "{line:?} is not in\n{training}");
    }
    assert!(!inference.contains("loss") && inference.contains("Y2 = layer2(Y1)"), "{inference}");
}

#[test]
fn a_network_of_ones_own_layers_computes_what_the_built_in_one_computes() {
    /// A ReLU from outside of the crate: nobody knows it, and nothing is fused.
    struct Mine(Relu);
    impl Layer for Mine {
        fn kind(&self) -> &'static str {
            "mine"
        }
        fn outputs(&self) -> usize {
            self.0.outputs()
        }
        fn forward(
            &mut self,
            exec: Exec,
            pass: Pass,
            x: tensor::View<'_, f32, 2>,
            y: tensor::ViewMut<'_, f32, 2>,
        ) -> Result<(), tensor::ShapeError> {
            self.0.forward(exec, pass, x, y)
        }
        fn backward(
            &mut self,
            exec: Exec,
            x: tensor::View<'_, f32, 2>,
            y: tensor::View<'_, f32, 2>,
            dy: tensor::View<'_, f32, 2>,
            dx: Option<tensor::ViewMut<'_, f32, 2>>,
        ) -> Result<(), tensor::ShapeError> {
            self.0.backward(exec, x, y, dy, dx)
        }
    }

    let exec = Exec::serial();
    let network = |relu: NetworkLayer| {
        let weights = &mut stream(1, Stream::Weights);
        let first = Affine::new(exec, INPUTS, 64, Init::He, weights).into();
        let last = Affine::new(exec, 64, 10, Init::He, weights).into();
        Network::from_layers(exec, INPUTS, vec![first, relu, last], BATCH, Fusion::default())
    };
    let x = Tensor::from_slice(&Rng::new(1).vec_normal(BATCH * INPUTS), [BATCH, INPUTS]).expect("fits");
    let (_, labels) = data();
    let [mut built_in, mut mine] = [Relu::new(64).into(), NetworkLayer::custom(Mine(Relu::new(64)))].map(network);
    let [a, b] = [&mut built_in, &mut mine].map(|network| {
        let mut all = vec![network.loss_and_gradients(exec, 0, x.view(), &labels).expect("the batch fits")];
        network.parameters(&mut |_, parameter| all.extend_from_slice(parameter.gradient));
        all
    });
    assert_bits("mine", &b, &a);
    assert_eq!(mine.kinds(), ["affine", "mine", "affine"]);
}
