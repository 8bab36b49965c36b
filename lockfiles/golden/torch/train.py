"""Trains a small network on handwritten digits with PyTorch, writes its weights and metrics."""

import json

import torch
from sklearn.datasets import load_digits

torch.manual_seed(0)
torch.use_deterministic_algorithms(True)

images, labels = load_digits(return_X_y=True)
images = torch.tensor(images / 16.0, dtype=torch.float32)
labels = torch.tensor(labels)
train, test = slice(0, 1400), slice(1400, None)

model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_of = torch.nn.CrossEntropyLoss()
for _ in range(200):
    optimizer.zero_grad()
    loss = loss_of(model(images[train]), labels[train])
    loss.backward()
    optimizer.step()

with torch.no_grad():
    accuracy = (model(images[test]).argmax(dim=1) == labels[test]).float().mean().item()
torch.save(model.state_dict(), "model.pt")
with open("metrics.json", "w") as file:
    json.dump({"accuracy": accuracy, "loss": loss.item()}, file, indent=2)
print(f"accuracy {accuracy:.4f}")
