"""Labels of test.csv by the nearest rows of train.csv; how many of them, held-out rows tell."""

import numpy as np

train = np.loadtxt("train.csv", delimiter=",", skiprows=1)
test = np.loadtxt("test.csv", delimiter=",", skiprows=1)
rows, labels = train[:, :-1], train[:, -1].astype(int)


def predict(known, of, asked, count):
    apart = ((asked[:, None] - known[None]) ** 2).sum(axis=2)
    nearest = np.argsort(apart, axis=1)[:, :count]
    return np.array([np.bincount(of[near], minlength=3).argmax() for near in nearest])


held = len(rows) // 4
shares = {
    count: (predict(rows[held:], labels[held:], rows[:held], count) == labels[:held]).mean() for count in (1, 5, 9, 15)
}
print(shares)
best = max(shares, key=shares.get)
with open("predictions.csv", "w") as file:
    file.write("label\n" + "".join(f"{label}\n" for label in predict(rows, labels, test, best)))
