//! From layers to the list of kernels.
//!
//! ```text
//! training:    forward of each layer, first to last
//!              loss
//!              last to first:  affine: dX, db, dW, update        other: backward, update
//! inference:   forward of each layer
//! ```
//!
//! dX comes before the update, because it needs the weights as they were. What comes after it is needed by nobody in
//! this step: it is off the critical path.

use super::{Action, Fusion, Kernel, Program};
use crate::layer::{Layer, Pass};
use crate::node::Node;
use tensor::Exec;
use tensor::matmul::{Plan, Zeros};
use tensor::profile::Work;

/// Multiply-adds of a layer's dW up to which another thread runs it alone. A larger one is shared by all.
const MOST_DEFERRED: usize = 10_000_000;

/// Compiles the layers for batches of up to `rows`, of `inputs` columns.
pub(crate) fn compile(
    exec: Exec,
    nodes: &mut [Node],
    inputs: usize,
    rows: usize,
    pass: Pass,
    slots: usize,
    fusion: Fusion,
) -> Program {
    let kinds = nodes.iter().map(|node| node.as_layer().kind()).collect();
    let exec = exec.in_session();
    let mut kernels = Vec::new();
    for i in 0..nodes.len() {
        let width = width_before(nodes, i, inputs);
        let plans = plans(exec, &mut nodes[i], rows);
        let action = Action::Forward { relu: false, scale: 1.0 };
        let plan = plans.map(|[forward, ..]| forward);
        let work = match &nodes[i] {
            Node::Affine(layer) => Sized::gemm([rows, width, layer.outputs()]),
            node => Sized::streaming(rows, width, node.as_layer().outputs(), 1),
        };
        kernels.push(Kernel { zeros: zeros_of_input(nodes, i), plan, ..work.kernel(i, action) });
    }
    if let Pass::Training { .. } = pass {
        let last = nodes.len() - 1;
        let classes = nodes[last].as_layer().outputs();
        kernels.push(Sized::streaming(rows, classes, classes, 20).kernel(last, Action::Loss));
        for i in (0..nodes.len()).rev() {
            backward(exec, nodes, i, inputs, rows, &mut kernels);
        }
    }
    let counts = nodes.iter_mut().map(|node| node.parameters()[0]);
    let mut first_parameter = vec![0];
    for count in counts {
        first_parameter.push(first_parameter[first_parameter.len() - 1] + count);
    }
    let mut program = Program { kernels, rows, kinds, first_parameter };
    fusion.apply(&mut program, nodes, |elements| tensor::matmul::update_pays(exec, elements, 1 + slots));
    defer(&mut program);
    program
}

/// A layer's kernels on the way back.
fn backward(exec: Exec, nodes: &mut [Node], i: usize, inputs: usize, rows: usize, kernels: &mut Vec<Kernel>) {
    let (width, dx) = (width_before(nodes, i, inputs), i.checked_sub(1));
    let zeros = zeros_of_gradient(nodes, i);
    let input_zeros = zeros_of_input(nodes, i);
    let plans = plans(exec, &mut nodes[i], rows);
    let [parameters, floats] = nodes[i].parameters();
    let outputs = nodes[i].as_layer().outputs();
    match (&nodes[i], plans) {
        (Node::Affine(_), Some([_, input, weight])) => {
            if dx.is_some() {
                let kernel = Sized::gemm([rows, outputs, width]).kernel(i, Action::InputGradient);
                kernels.push(Kernel { dx, zeros, plan: Some(input), ..kernel });
            }
            kernels.push(Sized::streaming(rows, outputs, 0, 1).kernel(i, Action::BiasGradient));
            let kernel = Sized::gemm([width, rows, outputs]).kernel(i, Action::WeightGradient);
            kernels.push(Kernel { zeros: input_zeros, plan: Some(weight), ..kernel });
        }
        _ => {
            let kernel = Sized::streaming(rows, 2 * outputs, width, 2).kernel(i, Action::Backward);
            kernels.push(Kernel { dx, ..kernel });
        }
    }
    if parameters > 0 {
        kernels.push(Sized::streaming(1, 2 * floats, floats, 1).kernel(i, Action::Update));
    }
}

/// Marks what is off the critical path: what comes after dX of an affine layer that is not the first.
fn defer(program: &mut Program) {
    for at in 0..program.kernels.len() {
        let kernel = &program.kernels[at];
        let of_affine = program.kinds[kernel.layer] == "affine" && kernel.layer > 0;
        let product = |kernel: &Kernel| kernel.shape.iter().product::<usize>();
        let small = |kernel: &Kernel| kernel.layer != program.kernels[at].layer || product(kernel) <= MOST_DEFERRED;
        let kind = |kernel: &Kernel| matches!(kernel.action, Action::WeightGradient | Action::FusedUpdate);
        program.kernels[at].deferred = of_affine
            && matches!(
                kernel.action,
                Action::BiasGradient | Action::WeightGradient | Action::Update | Action::FusedUpdate
            )
            && program.kernels.iter().filter(|kernel| kind(kernel)).all(small);
    }
}

/// The width of a layer's input.
fn width_before(nodes: &[Node], i: usize, inputs: usize) -> usize {
    i.checked_sub(1).map_or(inputs, |before| nodes[before].as_layer().outputs())
}

/// Whether X of a layer may hold zeros: a batch may, and what a ReLU or dropout puts out.
fn zeros_of_input(nodes: &[Node], i: usize) -> Zeros {
    match i.checked_sub(1) {
        Some(before) if !nodes[before].as_layer().makes_zeros() => Zeros::Never,
        _ => Zeros::Ask,
    }
}

/// Whether dY of a layer may: where the layer above put out a zero its gradient is one.
fn zeros_of_gradient(nodes: &[Node], i: usize) -> Zeros {
    let above = nodes.get(i + 1).is_some_and(|node| node.as_layer().makes_zeros());
    if above { Zeros::Ask } else { Zeros::Never }
}

/// The plans of an affine layer: Y, dX, dW.
fn plans(exec: Exec, node: &mut Node, rows: usize) -> Option<[Plan; 3]> {
    match node {
        Node::Affine(layer) => Some(layer.plans(exec, rows)),
        _ => None,
    }
}

/// How large a kernel is.
struct Sized {
    shape: [usize; 3],
    work: Work,
}

impl Sized {
    fn gemm(shape: [usize; 3]) -> Self {
        Self { shape, work: Work::gemm(shape) }
    }

    /// `read` and `written` columns of so many rows, and operations an element that is read.
    fn streaming(rows: usize, read: usize, written: usize, flops: usize) -> Self {
        Self { shape: [rows, read, 0], work: Work::streaming(rows * read, rows * written, rows * read * flops) }
    }

    /// A kernel of layer i that reads Yᵢ₋₁ and writes or reads Yᵢ.
    fn kernel(self, i: usize, action: Action) -> Kernel {
        Kernel {
            layer: i,
            action,
            x: i.checked_sub(1),
            y: i,
            dx: None,
            gate: None,
            zeros: Zeros::Never,
            shape: self.shape,
            flops: self.work.flops,
            bytes: self.work.bytes,
            plan: None,
            deferred: false,
            fused: Vec::new(),
        }
    }
}
