"""Trains three models side by side and keeps the best: each step in an environment of its own."""

from metaflow import FlowSpec, Parameter, card, envbox, envbox_base, retry, step


@envbox_base(python="3.11")
class IrisFlow(FlowSpec):
    depths = Parameter("depths", default="1,2,4")

    @step
    def start(self):
        self.depth = [int(depth) for depth in self.depths.split(",")]
        self.next(self.train, foreach="depth")

    @retry(times=2)
    @envbox(packages={"scikit-learn": "1.5.2", "numpy": "1.26.4"})
    @step
    def train(self):
        from sklearn.datasets import load_iris
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import train_test_split

        features, kinds = load_iris(return_X_y=True)
        # Nobody sets a seed: envbox gives each task of the foreach its own, the same on every run.
        split = train_test_split(features, kinds, test_size=0.5)
        self.model = RandomForestClassifier(max_depth=self.input).fit(split[0], split[2])
        self.score = self.model.score(split[1], split[3])
        self.next(self.best)

    @envbox(packages={"scikit-learn": "1.5.2", "numpy": "1.26.4"})
    @step
    def best(self, inputs):
        found = max(inputs, key=lambda task: (task.score, -task.input))
        self.score, self.model = found.score, found.model
        self.next(self.end)

    @card
    @step
    def end(self):
        print("best score: %.4f" % self.score)


if __name__ == "__main__":
    IrisFlow()
