"""Losses with their gradients: Liger-Kernel's, and Inf-CL's contrastive one."""

from common import ON_GPU, bf16, counted, normal, on_cpu, same
import torch


def linear_cross_entropy(m, n, k):
    from liger_kernel.ops.fused_linear_cross_entropy import fused_linear_cross_entropy_forward as fused
    x, weight = normal(m, k), (normal(n, k).float() * k**-0.5).to(bf16)
    target = torch.randint(n, (m,))
    wide = [t.double().requires_grad_() for t in (x, weight)]
    expected = torch.nn.functional.cross_entropy(wide[0] @ wide[1].t(), target)
    expected.backward()
    x.requires_grad_()
    weight.requires_grad_()
    with torch.no_grad():
        found = counted(fused, x, weight, target)
    same("loss", found[0], expected)
    gradients = [g for g in found[1:] if isinstance(g, torch.Tensor) and g.dim() == 2]
    for gradient, of in zip(gradients, wide, strict=True):
        same("gradient", gradient, of.grad)


def policy(m, n, k):
    """Logits by a product, Liger's GRPO loss over 8 thoughts of m / 8 tokens, its gradient by the logits, and that of
    rows and weights by two products: the loss of our `grpo` on the log-probabilities of `linear_cross_entropy`."""
    from liger_kernel.ops.grpo_loss import GrpoLossFunction
    thoughts, length, clip, kl = 8, m // 8, (0.2, 0.3), 0.25
    x, weight = normal(m, k), (normal(n, k).float() * k**-0.5).to(bf16)
    ids = torch.randint(n, (thoughts, length))
    advantages = torch.randn(thoughts)
    wide = [t.double().requires_grad_() for t in (x, weight)]
    logp = (wide[0] @ wide[1].t()).log_softmax(-1).gather(1, ids.view(-1, 1)).view(thoughts, length)
    # Ratios within the clip or well beyond it, whichever way log-probabilities from bf16 are off.
    drift = 0.03 * torch.randn(thoughts, length) + torch.randint(-1, 2, (thoughts, length)) * 0.6
    old, base = ((logp + apart).float().detach() for apart in (drift, 0.05 * torch.randn(thoughts, length)))
    ratio, apart, a = (logp - old).exp(), base - logp, advantages.double()[:, None]
    kept = torch.minimum(ratio * a, ratio.clamp(1 - clip[0], 1 + clip[1]) * a)
    expected = (kl * (apart.exp() - apart - 1) - kept).mean()
    expected.backward()

    def run():
        # A row more for each thought, which it is made for and does not look at; not counted.
        logits = torch.nn.functional.pad((x @ weight.t()).view(thoughts, length, n), (0, 0, 0, 1))
        context = Saved()
        loss = GrpoLossFunction.forward(context, logits, old, base, ids, advantages, None, 1.0, kl, *clip, False)[0]
        slopes = GrpoLossFunction.backward(context, torch.ones(()))[0][:, :-1].reshape(m, n)
        return loss, slopes @ weight, slopes.t() @ x

    with torch.no_grad():
        loss, *gradients = counted(run)
    same("loss", loss, expected)
    for gradient, of in zip(gradients, wide, strict=True):
        same("gradient", gradient, of.grad)


class Saved:
    """What autograd hands from a function's forward to its backward."""

    def save_for_backward(self, *tensors):
        self.saved_tensors = tensors


def info_nce(queries, items, hidden, temperature):
    """Of rows of length 1, as Inf-CL has it: what makes them so, and a row's own score, are torch's and not counted."""
    import inf_cl.flash as flash
    for function in ("_flash_prob_forward", "_flash_prob_backward"):
        on_cpu(flash, function, "assert q.is_cuda and k.is_cuda", "pass")
    q, d = (torch.nn.functional.normalize(torch.randn(n, hidden), dim=-1) for n in (queries, items))
    target = torch.arange(queries) % items
    wide = [t.double().requires_grad_() for t in (q, d)]
    losses = torch.nn.functional.cross_entropy(wide[0] @ wide[1].t() / temperature, target, reduction="none")
    losses.sum().backward()
    # It multiplies by heads, a power of two wide.
    size = hidden & -hidden
    scaled, keys = (q / temperature).view(queries, -1, min(size, 256)), d.view(items, -1, min(size, 256))

    # Its kernel by items reads beyond the queries, up to whole tiles of 64.
    slopes = torch.ones(queries + 64)[:queries]

    def run():
        lse = flash._flash_prob_forward(scaled, keys)
        return lse, *flash._flash_prob_backward(scaled, keys, lse, slopes)

    lse, dq, dd = counted(run)
    own = (scaled.flatten(1) * d[target]).sum(1)
    same("loss", lse - own, losses)
    dd = dd.flatten(1).index_add(0, target, -scaled.flatten(1))
    same("dq", (dq.flatten(1) - d[target]) / temperature, wide[0].grad)
    same("dd", dd, wide[1].grad)
