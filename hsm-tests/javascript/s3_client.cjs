// The AWS SDK for JavaScript as a program that runs for long: see tests/clients/client.rs for what it reads
// and prints.

const readline = require("node:readline");
const { ListObjectsV2Command, PutObjectCommand, S3Client } = require("@aws-sdk/client-s3");
const { fromNodeProviderChain } = require("@aws-sdk/credential-providers");

const Bucket = "sensor-logs";
const s3 = new S3Client({ credentials: fromNodeProviderChain() });

async function round(Key) {
  await s3.send(new PutObjectCommand({ Bucket, Key, Body: "21.5" }));
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: Key }));
  return Contents.some((object) => object.Key === Key) ? "ok" : "not listed";
}

(async () => {
  for await (const key of readline.createInterface({ input: process.stdin })) {
    const answer = await round(key).catch(String);
    process.stdout.write(`${answer.replaceAll("\n", " ")}\n`);
  }
})();
