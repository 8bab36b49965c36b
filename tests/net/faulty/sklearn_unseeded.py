from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

x, y = load_iris(return_X_y=True)
train_x, test_x, train_y, test_y = train_test_split(x, y)
forest = RandomForestClassifier(n_estimators=10).fit(train_x, train_y)
print(forest.score(test_x, test_y), forest.feature_importances_)
