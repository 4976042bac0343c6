"""A gated recurrent unit (Cho et al. 2014) with its gradient by hand: on a CPU, steps of small states cost by the call.

torch's own takes 17 calls a step there and 25 for its gradient; this one 6 and 7, and all that needs no state before it
is done for all steps at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def recurrent(gru: nn.GRU, inputs: Tensor) -> Tensor:
    """inputs [rows × length × before] → the last layer's state after each, [rows × length × size], as `gru` has it.

    gru: `batch_first`, of one direction, with biases and without dropout. The states before the first are zeros. On the
    CPU in float32 also under autocast.
    """
    if inputs.device.type != "cpu":
        states: Tensor = gru(inputs)[0]
        return states
    with torch.autocast("cpu", enabled=False):
        states = inputs.float().transpose(0, 1)
        for weights in gru.all_weights:
            states = _Layer.apply(states, *weights)
        return states.transpose(0, 1)


class _Layer(torch.autograd.Function):
    """r = σ(W_r x + b_r + U_r h + c_r), z likewise, n = tanh(W_n x + b_n + r (U_n h + c_n)), h ← n + z (h − n).

    A dimension of 3 · size is that of r, z, n. Of W x + b and U h + c the gradients differ in n alone, by the factor r.
    """

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, entering: Tensor, returning: Tensor, entering_bias: Tensor, returning_bias: Tensor
    ) -> Tensor:
        """inputs [length × rows × before], W [3 · size × before], U [3 · size × size], b and c [3 · size] → states
        [length × rows × size]."""
        (length, rows, _), size = inputs.shape, returning.shape[1]
        entered = torch.addmm(entering_bias, inputs.reshape(length * rows, -1), entering.T).view(length, rows, -1)
        gates, fresh = entered.split((2 * size, size), dim=2)  # W x + b, then what the gates and n become
        returned = inputs.new_empty(length, rows, 3 * size)
        states = inputs.new_zeros(length + 1, rows, size)
        looking = returned[..., 2 * size :]
        by_step = zip(
            gates.unbind(), gates[..., :size].unbind(), gates[..., size:].unbind(), fresh.unbind(), returned.unbind(),
            returned[..., : 2 * size].unbind(), looking.unbind(), states[:-1].unbind(), states[1:].unbind(),
            strict=True,
        )  # fmt: skip
        transposed = returning.T.contiguous()
        for both, reset, update, new, back, back_gates, back_new, before, after in by_step:
            torch.addmm(returning_bias, before, transposed, out=back)
            both.add_(back_gates).sigmoid_()
            new.addcmul_(reset, back_new).tanh_()
            torch.lerp(new, before, update, out=after)
        ctx.save_for_backward(inputs, entering, returning, entered, looking, states)
        return states[1:]

    @staticmethod
    def vjp(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, Tensor, Tensor]:
        """Of the states → of the arguments, in their shapes."""
        inputs, entering, returning, entered, looking, states = ctx.saved_tensors
        (length, rows, _), size = inputs.shape, returning.shape[1]
        reset, update, fresh = entered.split(size, dim=2)
        to_fresh = (1 - update) * (1 - fresh.square())
        to_update = (states[:-1] - fresh) * update * (1 - update)
        to_reset = looking * reset * (1 - reset)
        of_entered, of_returned = torch.empty_like(entered), torch.empty_like(entered)
        by_step = zip(
            gradient.unbind(), to_fresh.unbind(), to_update.unbind(), to_reset.unbind(), reset.unbind(),
            update.unbind(), *(part.unbind() for part in of_returned.split(size, dim=2)),
            of_entered[..., 2 * size :].unbind(), of_returned.unbind(), strict=True,
        )  # fmt: skip
        state = torch.zeros_like(states[0])  # of the step's state, as later steps have it
        for given, fresh_, update_, reset_, gate, kept, of_r, of_z, of_back, of_n, of_all in reversed(list(by_step)):
            state = state + given
            torch.mul(state, fresh_, out=of_n)
            torch.mul(state, update_, out=of_z)
            torch.mul(of_n, reset_, out=of_r)
            torch.mul(of_n, gate, out=of_back)
            state = torch.addmm(state * kept, of_all, returning)
        of_entered[..., : 2 * size] = of_returned[..., : 2 * size]
        entered_rows, returned_rows = of_entered.view(length * rows, -1), of_returned.view(length * rows, -1)
        of_inputs = (entered_rows @ entering).view(inputs.shape) if ctx.needs_input_grad[0] else None
        return (
            of_inputs,
            entered_rows.T @ inputs.reshape(length * rows, -1),
            returned_rows.T @ states[:-1].reshape(length * rows, -1),
            entered_rows.sum(dim=0),
            returned_rows.sum(dim=0),
        )
