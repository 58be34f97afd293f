#!/usr/bin/env python3
"""Records what a goldsmith binary stores and answers, for the tests that a later version still serves it.

Usage: record-fixture.py BINARY OUT [--mongod MONGOD] [--models MODELS]

Writes OUT/sqlite.tar.xz: the data directory with the embedded store, and answers.json, what the binary answered on it.
With --mongod also OUT/mongodb.tar.xz, which has a dump of the two databases besides; that needs pymongo. The shop lives in /tmp/old-shop and the process runs on a host named old-shop (`unshare --uts`,
which needs root), so that nothing of this machine is recorded.

A dump has per database (`served`, `ops`) a file `NAME.bson` of documents for each collection and `collections.bson` with
one document each for collections and views: name, options, indexes.
"""
import argparse, hashlib, json, os, pathlib, re, shutil, socket, sqlite3, subprocess, sys, tarfile, time
import urllib.error, urllib.request

SHOP = pathlib.Path("/tmp/old-shop")
TOKEN = "fixture"
OPENAPI_PLACES = {"{id}": "1", "{model}": "churn", "{run}": "2", "{generation}": "2", "{other}": "1"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Shop:
    def __init__(self, binary, variables):
        shutil.rmtree(SHOP, ignore_errors=True)
        (SHOP / "data").mkdir(parents=True)
        self.binary = binary
        self.env = {"ADMIN_TOKEN": TOKEN, **variables}

    def command(self, *arguments):
        return ["unshare", "--uts", "sh", "-c", 'hostname old-shop && exec "$@"', "sh", self.binary, *arguments]

    def run(self, *arguments, code=0):
        ran = subprocess.run(self.command(*arguments), cwd=SHOP, env={"PATH": os.environ["PATH"], **self.env},
                             capture_output=True, text=True)
        assert ran.returncode == code, (arguments, ran)
        return ran.stdout

    def generate(self, seed):
        shutil.rmtree(SHOP / "data/sources", ignore_errors=True)
        self.run("generate", "--customers", "100", "--purchases", "450", "--seed", str(seed), "--dirty", "0.05",
                 "--out", "data/sources")
        (SHOP / "data/sources/ground_truth.json").unlink(missing_ok=True)

    def history(self):
        """Two generations, a run that failed, one that changed nothing, and rollbacks."""
        self.generate(5)
        self.run("refresh")
        self.generate(6)
        self.run("refresh")
        purchases = SHOP / "data/sources/achats.csv"
        good = purchases.read_bytes()
        purchases.write_bytes(b"nothing,of,this\n1,2,3\n")
        self.run("refresh", code=1)
        purchases.write_bytes(good)
        self.run("rollback", "1")
        self.run("rollback", "2")
        assert "generation 2 is up to date" in self.run("refresh")

    def serve_other_models(self, models):
        """Puts a models.json into generation 2, with its hash: models of trees, which samples never give."""
        content = models.read_bytes()
        database = sqlite3.connect(SHOP / "data/serving.db")
        (published,) = database.execute("SELECT published FROM goldsmith_generations WHERE generation = 2").fetchone()
        manifest_path = SHOP / "data/gold/gen-000002/manifest.json"
        manifest = manifest_path.read_text()
        old = json.loads(manifest)["models"]
        (SHOP / "data/gold" / old["path"]).write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        old_size, size = (re.compile(rf'"size_bytes": ?{old["size_bytes"]}\b'), f'"size_bytes":{len(content)}')
        edited = [old_size.sub(size, text).replace(old["sha256"], sha256) for text in (manifest, published)]
        assert all(json.loads(text) for text in edited)
        manifest_path.write_text(edited[0])
        database.execute("UPDATE goldsmith_generations SET published = ? WHERE generation = 2", (edited[1],))
        database.commit()
        database.close()
        self.run("check")
        self.run("lake", "verify")

    def answers(self):
        port = free_port()
        env = {"PATH": os.environ["PATH"], **self.env, "HTTP_ADDR": f"127.0.0.1:{port}"}
        served = subprocess.Popen(self.command("serve"), cwd=SHOP, env=env, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, text=True)
        try:
            while "serving on" not in served.stdout.readline():
                assert served.poll() is None
            document = get(port, "/openapi.json")[1]
            paths = [path for path, methods in document["paths"].items() if "get" in methods]
            answers = {}
            for path in paths:
                if path == "/events" or path.endswith("/events") or path in ("/metrics", "/health", "/openapi.json"):
                    continue
                for place, value in OPENAPI_PLACES.items():
                    path = path.replace(place, value)
                status, body = get(port, path + ("?limit=20" if path in ("/customers", "/segments", "/scores") else ""))
                if isinstance(body, dict) and isinstance(body.get("meta"), dict):
                    body["meta"].pop("query_ms", None)
                answers[path] = {"status": status, "body": body}
            answers["score"] = self.run("score", "--customers", "data/sources/achats.csv")
            return answers
        finally:
            served.terminate()
            served.wait()


def get(port, path):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {TOKEN}"})
    try:
        with urllib.request.urlopen(request) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text


def pack(out, name, answers, folders):
    (SHOP / "answers.json").write_text(json.dumps(answers, ensure_ascii=False))
    with tarfile.open(out / f"{name}.tar.xz", "w:xz", preset=9) as archive:
        for member in [*folders, "answers.json"]:
            archive.add(SHOP / member, arcname=member)


def dump(uri):
    import bson
    import pymongo
    client = pymongo.MongoClient(uri)
    for folder, name in (("served", "analytics"), ("ops", "analytics_ops")):
        database = client[name]
        to = SHOP / "dump" / folder
        to.mkdir(parents=True)
        with open(to / "collections.bson", "wb") as listing:
            for found in sorted(database.list_collections(), key=lambda found: found["name"]):
                if found["name"].startswith("system."):
                    continue
                is_view = found["type"] == "view"
                indexes = [] if is_view else list(database[found["name"]].list_indexes())
                listing.write(bson.encode({"name": found["name"], "options": found["options"], "indexes": indexes}))
                if not is_view:
                    with open(to / f"{found['name']}.bson", "wb") as documents:
                        for raw in database[found["name"]].find_raw_batches():
                            documents.write(raw)


def main():
    arguments = argparse.ArgumentParser(usage=__doc__)
    arguments.add_argument("binary")
    arguments.add_argument("out", type=pathlib.Path)
    arguments.add_argument("--mongod")
    arguments.add_argument("--models", type=pathlib.Path)
    arguments = arguments.parse_args()
    binary = os.path.abspath(arguments.binary)
    arguments.out.mkdir(parents=True, exist_ok=True)
    shop = Shop(binary, {})
    shop.history()
    if arguments.models is not None:
        shop.serve_other_models(arguments.models)
    answers = shop.answers()
    pack(arguments.out, "sqlite", answers, ["data"])
    if arguments.mongod is None:
        return
    database, port = pathlib.Path("/tmp/old-shop-mongod"), free_port()
    shutil.rmtree(database, ignore_errors=True)
    database.mkdir()
    server = subprocess.Popen(
        [arguments.mongod, "--dbpath", database, "--port", str(port), "--bind_ip", "127.0.0.1", "--unixSocketPrefix",
         database, "--wiredTigerCacheSizeGB", "0.25", "--replSet", "rs", "--oplogSize", "64"],
        stdout=subprocess.DEVNULL)
    try:
        import pymongo
        uri = f"mongodb://127.0.0.1:{port}/"
        admin = pymongo.MongoClient(uri, directConnection=True).admin
        admin.command({"replSetInitiate": {"_id": "rs", "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}})
        while not admin.command("hello")["isWritablePrimary"]:
            time.sleep(0.1)
        shop = Shop(binary, {"MONGODB_URI": uri})
        shop.history()
        answers = shop.answers()
        dump(uri)
        pack(arguments.out, "mongodb", answers, ["data", "dump"])
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(database, ignore_errors=True)
        shutil.rmtree(SHOP, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
