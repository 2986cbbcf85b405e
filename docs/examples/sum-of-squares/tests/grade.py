import json

try:
    with open("/app/answer.json") as file:
        right = json.load(file) == {"sum": 385}
except (OSError, ValueError):
    right = False
with open("/logs/verifier/reward.json", "w") as file:
    json.dump({"reward": float(right), "items": 1}, file)
