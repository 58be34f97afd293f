"""The same tasks by scikit-learn, on the rows that `benches/models.rs` wrote.

usage: scikit_learn.py DIR
"""

import sys
import time

import numpy as np
import sklearn
from sklearn.cluster import KMeans
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.metrics import mean_absolute_error, roc_auc_score, root_mean_squared_error
from sklearn.preprocessing import StandardScaler

directory = sys.argv[1]


def load(name):
    values = np.loadtxt(f"{directory}/{name}.csv", delimiter=",", dtype=np.float32)
    return values[:, :-1], values[:, -1]


def metrics(actual, predicted):
    predicted = np.maximum(predicted, 0)
    mae = mean_absolute_error(actual, predicted)
    return f"MAE {mae:.2f}, RMSE {root_mean_squared_error(actual, predicted):.2f}"


def timed(work):
    started = time.perf_counter()
    done = work()
    return time.perf_counter() - started, done


print(f"scikit-learn {sklearn.__version__}, the same rows")
x, y = load("churn_train")
x_test, labels = load("churn_test")
forest = RandomForestClassifier(
    100, max_depth=10, min_samples_leaf=20, max_features=4, random_state=42, n_jobs=-1
)
seconds, _ = timed(lambda: forest.fit(x, y))
print(f"  forest, 100 trees                         {seconds:7.2f} s  AUC {roc_auc_score(labels, forest.predict_proba(x_test)[:, 1]):.4f}")
boosted = HistGradientBoostingClassifier(
    max_iter=400, learning_rate=0.05, max_depth=4, early_stopping=True, random_state=42
)
seconds, _ = timed(lambda: boosted.fit(x, y))
print(f"  boosted trees on histograms               {seconds:7.2f} s  AUC {roc_auc_score(labels, boosted.predict_proba(x_test)[:, 1]):.4f}")
x, y = load("clv_train")
x_test, actual = load("clv_test")
boosted = HistGradientBoostingRegressor(
    max_iter=400, learning_rate=0.05, max_depth=4, early_stopping=True, random_state=42
)
seconds, _ = timed(lambda: boosted.fit(x, y))
print(f"  value, boosted trees on histograms        {seconds:7.2f} s  {metrics(actual, boosted.predict(x_test))}")
exact = GradientBoostingRegressor(n_estimators=100, learning_rate=0.1, max_depth=4, random_state=42)
seconds, _ = timed(lambda: exact.fit(x, y))
print(f"  value, boosted trees, exact               {seconds:7.2f} s  {metrics(actual, exact.predict(x_test))}")
rfm = np.loadtxt(f"{directory}/rfm.csv", delimiter=",")
points = StandardScaler().fit_transform(
    np.column_stack([np.log1p(rfm[:, 1]), np.log1p(rfm[:, 2]), rfm[:, 0]])
)
seconds, clusters = timed(lambda: KMeans(4, n_init=10, random_state=42).fit(points))
print(f"  segments, 10 starts                       {seconds:7.2f} s  inertia {clusters.inertia_:.1f}")
