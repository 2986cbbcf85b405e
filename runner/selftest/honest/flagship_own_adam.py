# id = "flagship-own-adam"
# task = "slow_ml_training_complex"
# base = "solution"
# does = "writes the optimiser out"

def train(network, features, labels, seed):
    order = torch.Generator().manual_seed(seed)
    parameters = list(network.parameters())
    first, second = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
    step = 0
    for epoch in range(EPOCHS):
        rate = RATE * (1.0 - epoch / EPOCHS)
        for batch in torch.randperm(len(features), generator=order).split(BATCH):
            loss = nn.functional.cross_entropy(network(features[batch]), labels[batch])
            gradients = torch.autograd.grad(loss, parameters)
            step += 1
            with torch.no_grad():
                for p, g, m, v in zip(parameters, gradients, first, second):
                    g = g + DECAY * p
                    m.mul_(0.9).add_(g, alpha=0.1)
                    v.mul_(0.999).addcmul_(g, g, value=0.001)
                    p -= rate * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
