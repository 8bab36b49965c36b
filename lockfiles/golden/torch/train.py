"""Trains a small network to tell rings from discs, writes its weights and accuracy."""

import json

import torch

torch.manual_seed(0)
torch.use_deterministic_algorithms(True)

points = torch.randn(2000, 2)
labels = (points.norm(dim=1) > 1.2).float()
model = torch.nn.Sequential(
    torch.nn.Linear(2, 32), torch.nn.ReLU(), torch.nn.Linear(32, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1)
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_of = torch.nn.BCEWithLogitsLoss()
for _ in range(200):
    optimizer.zero_grad()
    loss = loss_of(model(points[:1500]).squeeze(1), labels[:1500])
    loss.backward()
    optimizer.step()

with torch.no_grad():
    predicted = model(points[1500:]).squeeze(1) > 0
accuracy = (predicted == labels[1500:].bool()).float().mean().item()
torch.save(model.state_dict(), "model.pt")
with open("metrics.json", "w") as file:
    json.dump({"accuracy": accuracy, "loss": loss.item()}, file, indent=2)
print(f"accuracy {accuracy:.4f}")
