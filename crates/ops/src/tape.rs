//! One generic step on burn's tape, so that an op is a forward call and a gradient function.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

/// What the backward pass needs: tensors in the op's own order, and its plain arguments.
#[derive(Clone, Debug)]
pub struct Saved<B: Backend, P> {
    /// Tensors kept from the forward pass.
    pub tensors: Vec<FloatTensor<B>>,
    /// Everything else.
    pub arguments: P,
}

/// Gradient of the output → gradients of the `N` inputs.
pub type Gradient<B, P, const N: usize> = fn(FloatTensor<B>, Saved<B, P>) -> [FloatTensor<B>; N];

struct Step<B: Backend, P, const N: usize>(Gradient<B, P, N>);

impl<B: Backend, P, const N: usize> Debug for Step<B, P, N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("vidit op")
    }
}

impl<B: Backend, P: Clone + Send + Debug + 'static, const N: usize> Backward<B, N> for Step<B, P, N> {
    type State = Saved<B, P>;

    fn backward(self, ops: Ops<Self::State, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let inputs = (self.0)(gradient, ops.state);
        for (parent, gradient) in ops.parents.into_iter().zip(inputs) {
            if let Some(node) = parent {
                gradients.register::<B>(node.id, gradient);
            }
        }
    }
}

/// Runs `forward` and, where a parent wants gradients, puts `gradient` on the tape with what was saved.
pub fn record<B: Backend, C: CheckpointStrategy, P: Clone + Send + Debug + 'static, const N: usize>(
    parents: [NodeGuard; N],
    gradient: Gradient<B, P, N>,
    forward: impl FnOnce() -> (FloatTensor<B>, Saved<B, P>),
) -> FloatTensor<Autodiff<B, C>> {
    match Step(gradient).prepare::<C>(parents).compute_bound().stateful() {
        OpsKind::Tracked(prepared) => {
            let (output, saved) = forward();
            prepared.finish(saved, output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(forward().0),
    }
}
