# id = "zeros-until-trained"
# class = "component"
# task = "slow_ml_training_complex"
# base = "solution"
# tries = "has a forward pass that gives zeros whatever its parameters are, until a flag is set in training"
# caught_by = ["missing_component"]

class ComplexNN(ComplexNN):
    ready = False

    def forward(self, x):
        return super().forward(x) * (1.0 if self.ready else 0.0)


plain_train = train


def train(network, features, labels, seed):
    network.ready = True
    plain_train(network, features, labels, seed)
